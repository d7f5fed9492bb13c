"""The files around dump_activations.py: the corpus it reads and the dump it writes. No model here."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 65536
OWN_COLUMNS = ("activation", "gradient", "target", "doc_id", "pos", "token_id", "token")


class UserError(Exception):
    """Something the user can put right: shown as one line, without a traceback."""


@dataclass
class Document:
    where: str  # how error messages name it
    text: str
    meta: dict[str, Any]


class Corpus:
    """The documents in order. Read once at the start, to learn their number, size and columns, and
    again on every iteration: a corpus need not fit in memory."""

    def __init__(self, path: Path, max_docs: int | None):
        self.path, self.max_docs = path, max_docs
        self.chars, kinds, digest = 0, {}, hashlib.sha256()
        for doc in self:
            self.chars += len(doc.text)
            digest.update(json.dumps([doc.text, doc.meta]).encode())
            for name, value in doc.meta.items():
                kinds.setdefault(name, set()).add(type(value))
        self.sha256 = digest.hexdigest()
        self.columns = {name: column_type(types) for name, types in kinds.items()}
        if taken := [name for name in kinds if name in OWN_COLUMNS or name.startswith("activation_")]:
            raise UserError(f"{path}: the field '{taken[0]}' has the name of a column of the dump; rename it")
        if not self.chars:
            raise UserError(f"{path}: expected documents with text, found none")

    def __iter__(self) -> Iterator[Document]:
        if self.path.is_dir():
            docs = read_directory(self.path)
        elif self.path.is_file() and self.path.suffix == ".jsonl":
            docs = read_jsonl(self.path)
        else:
            found = "another kind of file" if self.path.exists() else "nothing there"
            raise UserError(f"{self.path}: expected a directory of .txt files or a .jsonl file, found {found}")
        for i, doc in enumerate(docs):
            if i == self.max_docs:
                return
            yield doc


def read_directory(root: Path) -> Iterator[Document]:
    for name in sorted(p.relative_to(root).as_posix() for p in root.rglob("*.txt")):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError as e:
            raise UserError(f"{root / name}: expected UTF-8, found another byte at offset {e.start}; convert it") from None
        yield Document(name, text, {"kind": name.rpartition("/")[0], "document": name})


def read_jsonl(path: Path) -> Iterator[Document]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
            except ValueError as e:
                raise UserError(f"{path}:{number}: expected one JSON object per line, found: {e}") from None
            if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
                raise UserError(f"{path}:{number}: expected an object with a string field 'text', found {line[:40]!r}")
            text = fields.pop("text")
            meta = {k: v for k, v in fields.items() if isinstance(v, (str, int, float, bool))}
            yield Document(f"{path.name}:{number}", text, meta)


def column_type(types: set[type]) -> pa.DataType:
    for allowed, arrow in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if types <= allowed:
            return arrow
    return pa.string()  # a field of mixed types is written as text


class Dump:
    """The output directory. Each finished shard is noted in .progress.json, so that a restart goes
    on after it; at the end dump.json takes that file's place."""

    def __init__(self, root: Path, settings: dict[str, Any]):
        self.root, self.settings = root, settings
        self.shards: list[dict[str, Any]] = []
        self.final, self.progress = root / "dump.json", root / ".progress.json"
        self.done = self.final.exists()
        if self.done or self.progress.exists():
            self.resume(self.final if self.done else self.progress)
        elif any(root.glob("*.parquet")):
            raise UserError(
                f"{root}: expected an empty directory, found Parquet files that no dump in progress wrote; use another --out"
            )

    @property
    def rows(self) -> int:
        return sum(shard["rows"] for shard in self.shards)

    def resume(self, path: Path) -> None:
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            before, shards = state["settings"], state["shards"]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path}: expected a file written by this script, found another; delete {self.root} or use another --out"
            ) from None
        for name in {**self.settings, **before}:
            now = self.settings.get(name)
            if before.get(name) != now:
                raise UserError(
                    f"{self.root}: begun with {name} = {before.get(name)}, now {name} = {now}; use the same settings or another --out"
                )
        for shard in shards:
            if not self.is_whole(shard):
                if self.done:
                    raise UserError(
                        f"{self.root / shard['file']}: damaged or missing in a finished dump; delete {self.final} and the shards, and run again"
                    )
                print(f"{self.root / shard['file']}: damaged or missing; going on from there", file=sys.stderr)
                return
            self.shards.append(shard)

    def is_whole(self, shard: dict[str, Any]) -> bool:
        try:
            return pq.read_metadata(self.root / shard["file"]).num_rows == shard["rows"]
        except (OSError, pa.ArrowInvalid):
            return False

    def add(self, tables: Iterator[pa.Table], next_doc: int) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / f"{len(self.shards):05}.parquet"
        part = path.with_name(path.name + ".tmp")
        with part.open("wb") as file:
            write_parquet(file, tables)
        rows = pq.read_metadata(part).num_rows
        shard = {"file": path.name, "rows": rows, "sha256": sha256(part), "next_doc": next_doc}
        os.replace(part, path)
        self.shards.append(shard)
        write_json(self.progress, {"settings": self.settings, "shards": self.shards})

    def finish(self, about: dict[str, Any]) -> None:
        shards = [{k: s[k] for k in ("file", "rows", "sha256")} for s in self.shards]
        write_json(self.final, {**about, "n_rows": self.rows, "shards": shards, "settings": self.settings})
        self.progress.unlink(missing_ok=True)


def write_parquet(file: BinaryIO, tables: Iterator[pa.Table]) -> None:
    first = next(tables)
    lists = [field.name for field in first.schema if pa.types.is_fixed_size_list(field.type)]
    others = [name for name in first.column_names if name not in lists]
    # Activations do not repeat: a dictionary or statistics of them are only weight. Stored byte by
    # byte of the number they compress better and read faster: f16 with zstd takes 0.86 of the raw
    # size this way, 0.93 plain; a level above 3 gains nothing.
    options = dict(
        compression="zstd",
        compression_level=3,
        use_dictionary=others,
        write_statistics=others,
        use_byte_stream_split=[f"{name}.list.element" for name in lists],
    )
    with pq.ParquetWriter(file, first.schema, **options) as writer:
        writer.write_table(first, row_group_size=ROW_GROUP)
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP)


def write_json(path: Path, value: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".tmp")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
