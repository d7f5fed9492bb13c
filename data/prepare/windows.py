"""Documents as windows of tokens: what the model sees at once, and in which portions it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dump_files import ROW_GROUP, Corpus, Document, UserError


@dataclass
class Window:
    """A piece of a document that the model sees at once."""

    ids: list[int]  # with the special tokens around
    kept: slice  # the part of `ids` that becomes rows
    doc: Document
    doc_id: int
    pos: int  # of the first kept token, counted through the whole document

    @property
    def rows(self) -> int:
        return self.kept.stop - self.kept.start


class Tokenizer:
    def __init__(self, tokenizer: Any, ctx_len: int, keep_special: bool):
        self.hf, self.ctx_len, self.keep_special = tokenizer, ctx_len, keep_special
        self.pad_id = tokenizer.pad_token_id or 0
        # Which special tokens stand around a text is read off a sample: the tokenizer classes
        # differ in how they say it, and some do not.
        sample = tokenizer("a", return_special_tokens_mask=True)
        mask = sample["special_tokens_mask"]
        self.prefix = sample["input_ids"][: mask.index(0)]
        self.suffix = sample["input_ids"][len(mask) - mask[::-1].index(0) :]
        self.body = ctx_len - len(self.prefix) - len(self.suffix)
        if self.body < 1:
            raise UserError(
                f"--ctx-len {ctx_len}: expected room beside {ctx_len - self.body} special tokens, found none; raise it"
            )
        decoder = repr(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None))
        self.is_byte_level, self.is_sentencepiece = "ByteLevel" in decoder, "▁" in decoder
        self.shown: dict[int, str] = {}

    def about(self) -> dict[str, Any]:
        names = {key: self.hf.convert_ids_to_tokens(getattr(self, key)) for key in ("prefix", "suffix")}
        return {"class": type(self.hf).__name__, "special_tokens_kept": self.keep_special, **names}

    def cut(self, doc: Document, doc_id: int) -> list[Window]:
        ids = self.hf(doc.text, add_special_tokens=False, truncation=False, padding=False, verbose=False)["input_ids"]
        windows, pos = [], 0
        for start in range(0, len(ids), self.body):
            piece = self.prefix + ids[start : start + self.body] + self.suffix
            kept = slice(len(self.prefix), len(piece) - len(self.suffix))
            windows.append(Window(piece, slice(0, len(piece)) if self.keep_special else kept, doc, doc_id, pos))
            pos += windows[-1].rows
        return windows

    def show(self, token_id: int) -> str:
        """The text of one token; the rule is at the top of dump_activations.py."""
        if token_id not in self.shown:
            text = self.hf.convert_ids_to_tokens(token_id)
            if self.is_byte_level:
                text = self.hf.decode([token_id], clean_up_tokenization_spaces=False)
            elif self.is_sentencepiece:
                byte = re.fullmatch(r"<0x([0-9A-F]{2})>", text)
                text = bytes.fromhex(byte[1]).decode("ascii", "replace") if byte else text.replace("▁", " ")
            self.shown[token_id] = text
        return self.shown[token_id]


def plan_shards(
    corpus: Corpus, first_doc: int, tokenizer: Tokenizer, rows_per_shard: int
) -> Iterator[tuple[list[Window], int]]:
    """The windows of whole documents, and the number of the document that comes after them."""
    windows, rows, next_doc = [], 0, 0
    for next_doc, doc in enumerate(corpus, 1):
        if next_doc > first_doc:
            more = tokenizer.cut(doc, next_doc - 1)
            windows += more
            rows += sum(w.rows for w in more)
        if rows >= rows_per_shard:
            yield windows, next_doc
            windows, rows = [], 0
    if windows:
        yield windows, next_doc


def row_groups(windows: list[Window]) -> Iterator[list[Window]]:
    """Pieces of a shard that are computed and written at once, which bounds the memory needed."""
    group, rows = [], 0
    for window in windows:
        if group and rows + window.rows > ROW_GROUP:
            yield group
            group, rows = [], 0
        group.append(window)
        rows += window.rows
    yield group
