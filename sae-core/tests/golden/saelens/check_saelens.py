#!/usr/bin/env python3
"""Encode activations with the real SAELens, to compare another implementation against.

    check_saelens.py SAE_DIR DUMP.parquet --out REFERENCE.safetensors
    check_saelens.py SAE_DIR --compare OTHER.safetensors

The first writes `x [N, d_in]`, `acts [N, d_sae]`, `recon [N, d_in]`, all float32. The second takes the
`x` of a file of that form and exits 1 if its `acts` or `recon` differ from SAELens's by more than
1e-5 of the largest value.

Needs: pip install sae-lens==6.54.12 pyarrow==26.0.1
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

LIMIT = 1e-5


def fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def read_rows(path: Path, column: str, rows: int) -> torch.Tensor:
    try:
        batch = next(pq.ParquetFile(path).iter_batches(batch_size=rows, columns=[column]))
    except (OSError, pa.ArrowInvalid) as e:
        fail(f"{path}: expected a Parquet file, found: {e}")
    except StopIteration:
        fail(f"{path}: expected rows, found none")
    if column not in batch.schema.names:
        fail(f"{path}: expected a column '{column}', found none; name it with --column")
    x = batch.column(0).flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return torch.from_numpy(x.reshape(batch.num_rows, -1))


def read_compared(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as e:
        fail(f"{path}: expected a safetensors file, found: {e}")
    if missing := {"x", "acts", "recon"} - tensors.keys():
        fail(f"{path}: expected tensors x, acts and recon, found no {', '.join(sorted(missing))}")
    return {name: tensor.float() for name, tensor in tensors.items()}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sae", type=Path, metavar="SAE_DIR", help="directory with cfg.json and sae_weights.safetensors")
    p.add_argument(
        "dump",
        type=Path,
        nargs="?",
        metavar="DUMP.parquet",
        help="where the rows come from (not needed with --compare)",
    )
    p.add_argument("--column", default="activation", help="column of the dump (default: %(default)s)")
    p.add_argument("--rows", type=int, default=64, metavar="N", help="how many rows (default: %(default)s)")
    p.add_argument("--out", type=Path, metavar="FILE", help="write x, acts, recon here")
    p.add_argument("--compare", type=Path, metavar="FILE", help="x, acts, recon made by another implementation")
    args = p.parse_args()
    if not args.out and not args.compare or not args.dump and not args.compare:
        p.error("expected DUMP.parquet and --out, or --compare, or all three")

    compared = read_compared(args.compare) if args.compare else {}
    x = read_rows(args.dump, args.column, args.rows) if args.dump else compared["x"]
    if compared and not torch.equal(x, compared["x"]):
        fail(
            f"{args.compare}: expected the x of the first {len(x)} rows of {args.dump}, found another; leave out {args.dump}"
        )
    for name in ("cfg.json", "sae_weights.safetensors"):
        if not (args.sae / name).is_file():
            fail(f"{args.sae}: expected {name} there, found none")
    from sae_lens import SAE  # slow to import: after the checks

    sae = SAE.load_from_disk(args.sae, device="cpu").float().eval()
    if x.shape[1] != sae.cfg.d_in:
        fail(f"{args.dump or args.compare}: expected rows of {sae.cfg.d_in}, the width of the SAE, found {x.shape[1]}")
    with torch.inference_mode():
        # Not decode(acts): a skip transcoder adds to it what it gets of x directly.
        acts = sae.encode(x)
        found = {"x": x, "acts": acts, "recon": sae(x)}

    if args.out:
        versions = {name: version(name) for name in ("sae-lens", "torch", "safetensors")}
        tensors = {name: tensor.clone().contiguous() for name, tensor in found.items()}
        save_file(tensors, args.out, {**versions, "architecture": sae.cfg.architecture()})
        print(f"{args.out}: {len(x)} rows, {int((acts != 0).sum()) / len(x):.1f} active of {sae.cfg.d_sae}")
    worst = 0.0
    for name in ("acts", "recon") if compared else ():
        if compared[name].shape != found[name].shape:
            fail(f"{args.compare}: expected {name} {list(found[name].shape)}, found {list(compared[name].shape)}")
        # The largest over the largest: a relative error of every single value would only measure
        # the rounding of those next to zero. A NaN counts as infinitely wrong.
        error = float((compared[name] - found[name]).abs().max() / found[name].abs().max())
        worst = max(worst, error if error == error else float("inf"))
        print(f"{name}: largest error {error:.3g} of the largest value")
    if worst > LIMIT:
        fail(f"{args.compare}: expected errors of at most {LIMIT:g}, found {worst:.3g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
