#!/usr/bin/env python3
"""Open runs with the real SAELens and compare its codes and reconstructions with those of `sae index`.

    check_exports.py RUN [RUN ...] --data DUMP [--rows N] [--keep DIR]

Each RUN needs sae/ (`sae train`) and an index/ (`sae index RUN --data DUMP`). Of the first N rows the codes are
compared value by value; of all rows the fvu in index/meta.json, which stands for the reconstructions. An activation
on one side only is excused if SAELens too drops it when the row is moved by 1e-5 of its numbers: it lies
on a threshold or a cut. Exits 1 if a run differs.

With --keep, DIR/NAME gets the files of RUN/sae and ref.safetensors: the first 16 rows and what SAELens makes of
them. tests/golden/saelens/exports was made so, of small SAEs of every method.

Needs: pip install sae-lens==6.54.12 pyarrow==26.0.1
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import torch

LIMIT = 1e-5
NUDGES = 8
BATCH = 4096
KEPT_ROWS = 16


class Differs(Exception):
    """What was expected and what was found."""


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    rows = column.combine_chunks()
    if rows.null_count:
        raise Differs("expected activations in every row, found a null")
    return rows.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(rows), -1)


def batches(dump: Path, columns: list[str], target: str | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """x, the columns side by side, and what it is to give: the target, or x itself."""
    files = sorted(dump.glob("*.parquet")) if dump.is_dir() else [dump]
    data = pa.dataset.dataset([str(file) for file in files])
    if missing := [name for name in [*columns, target or columns[0]] if name not in data.schema.names]:
        raise Differs(f"{dump}: expected a column '{missing[0]}', found {', '.join(data.schema.names)}")
    wanted = [*columns, *([target] if target else [])]
    for batch in data.to_batches(columns=wanted, batch_size=BATCH):
        table = pa.table(batch)
        x = torch.from_numpy(np.concatenate([matrix(table[name]) for name in columns], axis=1))
        yield x, torch.from_numpy(matrix(table[target])) if target else x


def read_codes(run: Path, rows: int, d_sae: int) -> torch.Tensor:
    """[rows, d_sae] of index/codes.arrow, or fewer rows where it has fewer."""
    with pa.ipc.open_file(pa.memory_map(str(run / "index/codes.arrow"))) as file:
        table = pa.Table.from_batches(
            [file.get_batch(i) for i in range(min(file.num_record_batches, 1 + rows // 65536))]
        )
    table = table.slice(0, rows)
    latent, value = (table[name].combine_chunks() for name in ("latent", "value"))
    lengths = np.diff(latent.offsets.to_numpy())
    codes = torch.zeros(table.num_rows, d_sae)
    at = np.repeat(np.arange(table.num_rows), lengths), latent.flatten().to_numpy().astype(np.int64)
    codes[at] = torch.from_numpy(value.flatten().to_numpy().copy())
    return codes


def on_the_edge(sae: torch.nn.Module, x: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:
    """Which activations come or go when the row is moved a little."""
    generator, edge = torch.Generator().manual_seed(0), torch.zeros_like(acts, dtype=torch.bool)
    for _ in range(NUDGES):
        moved = x * (1 + LIMIT * torch.randn(x.shape, generator=generator))
        edge |= (sae.encode(moved) != 0) != (acts != 0)
    return edge


def compare_codes(sae: torch.nn.Module, x: torch.Tensor, codes: torch.Tensor) -> str:
    acts = sae.encode(x)
    if not (acts != 0).any():
        raise Differs("expected activations, found none in these rows: a comparison would say nothing")
    flipped = (acts != 0) != (codes != 0)
    unexplained = flipped & ~on_the_edge(sae, x, acts) if flipped.any() else flipped
    if unexplained.any():
        row, latent = unexplained.nonzero()[0].tolist()
        found, expected = float(codes[row, latent]), float(acts[row, latent])
        raise Differs(f"row {row}, latent {latent}: expected {expected:.6g}, found {found:.6g}")
    error = float(((acts - codes).abs() * ~flipped).max() / acts.abs().max())
    if not error <= LIMIT:
        raise Differs(f"expected codes within {LIMIT:g} of the largest value, found {error:.3g}")
    return f"l0 {float((codes != 0).sum()) / len(codes):.2f}, codes within {error:.1e}, {int(flipped.sum())} on an edge"


def fvu_of(sae: torch.nn.Module, rows: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Σ‖y − ŷ‖² / Σ‖y − mean‖², in f64."""
    n, total, square, error = 0, 0.0, 0.0, 0.0
    for x, y in rows:
        error += (y.double() - sae(x).double()).square().sum().item()
        n, total, square = n + len(y), total + y.double().sum(0), square + y.double().square().sum(0)
    return error / (square - total * total / n).sum().item()


def keep(run: Path, sae: torch.nn.Module, x: torch.Tensor, dir: Path) -> None:
    """What a test needs to compare without SAELens."""
    from safetensors.torch import save_file

    dir.mkdir(parents=True, exist_ok=True)
    for name in ("cfg.json", "sae_weights.safetensors"):
        shutil.copyfile(run / "sae" / name, dir / name)
    tensors = {"x": x, "acts": sae.encode(x), "recon": sae(x)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, dir / "ref.safetensors")


def check(run: Path, args: argparse.Namespace) -> str:
    from sae_lens import SAE  # slow to import

    for name in ("sae/cfg.json", "sae/sae_weights.safetensors", "index/codes.arrow", "index/meta.json"):
        if not (run / name).is_file():
            raise Differs(f"expected {name} there, found none; it takes a trained and indexed run")
    sae = SAE.load_from_disk(run / "sae", device="cpu", dtype="float32").eval()
    architecture = sae.cfg.architecture()
    target = args.target if "transcoder" in architecture else None
    columns, meta = args.column or ["activation"], json.loads((run / "index/meta.json").read_text())

    x = torch.cat([x for x, _ in batches(args.data, columns, target)])
    if (len(x), x.shape[1]) != (meta["n_rows"], sae.cfg.d_in):
        raise Differs(
            f"expected {meta['n_rows']} rows of {sae.cfg.d_in}, found {len(x)} of {x.shape[1]} in {args.data}"
        )
    codes = read_codes(run, args.rows, sae.cfg.d_sae)
    said = compare_codes(sae, x[: len(codes)], codes)
    fvu = fvu_of(sae, batches(args.data, columns, target))
    if abs(fvu - meta["fvu"]) > 1e-4 * fvu:
        raise Differs(f"expected fvu {fvu:.8g}, found {meta['fvu']:.8g}")
    if args.keep:
        keep(run, sae, x[:KEPT_ROWS], args.keep / run.name)
    return f"{architecture}, {len(codes)} rows, {said}, fvu {fvu:.6f} (ours {meta['fvu']:.6f})"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=Path, nargs="+", metavar="RUN")
    p.add_argument("--data", type=Path, required=True, metavar="DUMP", help="the dump that the runs were indexed with")
    p.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="of the activations; several are put side by side (activation)",
    )
    p.add_argument("--target", default="target", metavar="NAME", help="what transcoders give (default: %(default)s)")
    p.add_argument("--rows", type=int, default=2048, metavar="N", help="compare so many codes (default: %(default)s)")
    p.add_argument("--keep", type=Path, metavar="DIR", help="write there what a test needs")
    args = p.parse_args()
    wrong = 0
    for run in args.run:
        try:
            with torch.inference_mode():
                print(f"{run}: {check(run, args)}")
        except (Differs, OSError, ValueError, KeyError, RuntimeError, pa.ArrowInvalid) as e:
            print(f"{run}: error: {e}", file=sys.stderr)
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
