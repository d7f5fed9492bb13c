"""The data that every tool gets, from the sample dump, under bench/peers/.data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "data" / "sample" / "dump" / "00000.parquet"
DATA = Path(__file__).resolve().parent / ".data"
BATCHES = 4
# The sample so often is 1,047,459 rows.
COPIES = 31
ROW_GROUP = 65536


def activations(table: pa.Table) -> np.ndarray:
    column = table["activation"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def training_rows(d_in: int, batch: int) -> Path:
    """Four batches of f32 rows in random order, of mean square norm 1 as `sae train` makes them. Wider rows
    than the sample's are several of its rows side by side."""
    path = DATA / f"rows-{d_in}.f32"
    if not path.exists():
        x = activations(pq.read_table(SAMPLE, columns=["activation"])).astype(np.float32)
        order = np.random.default_rng(0).permutation(len(x))[: BATCHES * batch * d_in // x.shape[1]]
        x = x[order].reshape(-1, d_in)
        write(path, [x / np.sqrt(np.square(x, dtype=np.float64).sum(1).mean()).astype(np.float32)])
    return path


def index_rows() -> Path:
    """The sample's rows, repeated, as f32."""
    path = DATA / "index-rows.f32"
    if not path.exists():
        x = activations(pq.read_table(SAMPLE, columns=["activation"])).astype(np.float32)
        write(path, (x for _ in range(COPIES)))
    return path


def write(path: Path, arrays: Iterator[np.ndarray] | list[np.ndarray]) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".tmp")
    with part.open("wb") as file:
        for array in arrays:
            array.tofile(file)
    part.rename(path)


def index_dump() -> Path:
    """The same rows as a dump of distinct documents, written as data/prepare writes dumps."""
    path = DATA / "dump" / "00000.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(SAMPLE)
        others = [name for name in table.column_names if name != "activation"]
        documents = pc.max(table["doc_id"]).as_py() + 1
        place = table.column_names.index("doc_id")
        part = path.with_suffix(".tmp")
        with pq.ParquetWriter(
            part,
            table.schema,
            compression="zstd",
            use_dictionary=others,
            write_statistics=others,
            use_byte_stream_split=["activation.list.element"],
        ) as writer:
            for copy in range(COPIES):
                doc_id = pc.add(table["doc_id"], pa.scalar(copy * documents, pa.int32()))
                field = table.schema.field("doc_id")
                writer.write_table(table.set_column(place, field, doc_id), row_group_size=ROW_GROUP)
        part.rename(path)
    return path.parent


def trained_run(sae: str, d_sae: int, k: int) -> Path:
    """A TopK SAE that has seen the sample six times."""
    run = DATA / f"run-{d_sae}-{k}"
    if not (run / "sae").exists():
        settings = (f"sae.d_sae={d_sae}", "variant.name=topk", f"variant.k={k}", "train.rows=200000")
        sets = [part for setting in settings for part in ("--set", setting)]
        subprocess.run(
            [sae, "train", "--data", SAMPLE.parent, "--out", run, *sets], check=True, stdout=subprocess.DEVNULL
        )
    return run
