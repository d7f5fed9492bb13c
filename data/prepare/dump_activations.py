#!/usr/bin/env python3
"""Run a Hugging Face text model over a corpus and dump the activations of one module as Parquet.

One row per token: columns `activation` (fixed-size list of f16 or f32), `doc_id`, `pos`, `token_id`,
`token`, then the corpus's own metadata. dump.json, written last, describes the dump. An interrupted
run is continued by the same command.

What `token` holds, so that a reader can show a text again:
  - byte-level BPE and SentencePiece: the text, with its leading space where it has one; joining the
    tokens gives the document. A token that is only part of a character shows as U+FFFD.
  - WordPiece (BERT): the vocabulary's own form; `##ing` continues the word before it, a token
    without `##` starts a new one.
  - anything else: the vocabulary's own form.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import transformers
from tqdm import tqdm

from dump_files import OWN_COLUMNS, ROW_GROUP, Corpus, Document, Dump, UserError

VERSION = "0.1.0"
DTYPES = {"f16": torch.float16, "f32": torch.float32}


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
        """The text of one token; the rule is at the top of this file."""
        if token_id not in self.shown:
            text = self.hf.convert_ids_to_tokens(token_id)
            if self.is_byte_level:
                text = self.hf.decode([token_id], clean_up_tokenization_spaces=False)
            elif self.is_sentencepiece:
                byte = re.fullmatch(r"<0x([0-9A-F]{2})>", text)
                text = bytes.fromhex(byte[1]).decode("ascii", "replace") if byte else text.replace("▁", " ")
            self.shown[token_id] = text
        return self.shown[token_id]


class Captured(Exception):
    """Ends a forward pass at the hooked module: what comes after it need not be computed."""


class HookedModel:
    def __init__(self, model: torch.nn.Module, layer: int | None, module: str | None):
        # The encoder of an encoder-decoder model runs alone, on the same inputs as any encoder.
        self.model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self.model.config.use_cache = False
        self.hidden: Any = None
        modules = dict(self.model.named_modules())
        name = module if layer is None else self.find_block(layer)
        if not name or name not in modules:
            near = difflib.get_close_matches(name, modules, n=5, cutoff=0.3) or [m for m in modules if m][:5]
            raise UserError(
                f"--module {name}: expected a module of this {type(self.model).__name__}, found none of that name; "
                f"the nearest are {', '.join(near)}"
            )
        if layer == 0:
            self.hook_name = f"{name}.input"
            modules[name].register_forward_pre_hook(self.before, with_kwargs=True)
        else:
            self.hook_name = name
            modules[name].register_forward_hook(self.after)
        # A first small pass finds a wrong module before any work is done, and tells the width.
        self.d_in = self.run(torch.zeros((2, 3), dtype=torch.long), torch.ones((2, 3), dtype=torch.long)).shape[2]

    def find_block(self, layer: int) -> str:
        count = getattr(self.model.config.get_text_config(), "num_hidden_layers", None)
        lists = {
            name: sum(p.numel() for p in m.parameters())
            for name, m in self.model.named_modules()
            if isinstance(m, torch.nn.ModuleList) and len(m) == count
        }
        if not lists:
            raise UserError(
                f"--layer {layer}: expected a list of {count} blocks in this {type(self.model).__name__}, found none; use --module"
            )
        if not 0 <= layer <= count:
            raise UserError(f"--layer {layer}: expected 0 to {count}, the number of the model's blocks")
        return f"{max(lists, key=lists.__getitem__)}.{max(layer - 1, 0)}"

    def before(self, _module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.hidden = args[0] if args else kwargs.get("hidden_states")
        raise Captured

    def after(self, _module: Any, _args: tuple, output: Any) -> None:
        self.hidden = output[0] if isinstance(output, (tuple, list)) else output
        raise Captured

    @torch.inference_mode()
    def run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        device = self.model.device
        try:
            self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            raise UserError(
                f"module {self.hook_name}: expected it to run in the forward pass, found that it does not; choose another"
            )
        except torch.OutOfMemoryError:
            raise UserError(f"--batch-size {len(ids)}: out of memory; lower it") from None
        except Captured:
            hidden, self.hidden = self.hidden, None
        shape = list(hidden.shape) if isinstance(hidden, torch.Tensor) else type(hidden).__name__
        if not isinstance(hidden, torch.Tensor) or hidden.ndim != 3 or hidden.shape[:2] != ids.shape:
            raise UserError(
                f"module {self.hook_name}: expected a tensor [{ids.shape[0]}, {ids.shape[1]}, d], found {shape}; choose another"
            )
        return hidden

    def activations(self, windows: list[Window], dtype: str, batch_size: int, pad_id: int, bar: tqdm) -> np.ndarray:
        """The rows of `windows` in their order; batches are made of windows of similar length."""
        first = np.cumsum([0] + [w.rows for w in windows])
        out = np.empty((first[-1], self.d_in), np.float16 if dtype == "f16" else np.float32)
        order = sorted(range(len(windows)), key=lambda i: -len(windows[i].ids))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            ids = torch.full((len(batch), len(windows[batch[0]].ids)), pad_id)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(windows[i].ids)] = torch.tensor(windows[i].ids)
                mask[row, : len(windows[i].ids)] = 1
            exact = self.run(ids, mask)
            hidden = exact.to(DTYPES[dtype]).cpu().numpy()
            for row, i in enumerate(batch):
                rows = hidden[row, windows[i].kept]
                if not np.isfinite(rows).all():
                    raise not_finite(windows[i], rows, exact[row, windows[i].kept])
                out[first[i] : first[i + 1]] = rows
            bar.update(sum(windows[i].rows for i in batch))
        return out


def not_finite(window: Window, rows: np.ndarray, exact: torch.Tensor) -> UserError:
    at = int(np.argmin(np.isfinite(rows).all(axis=1)))
    where = f"{window.doc.where}: position {window.pos + at}"
    if torch.isfinite(exact[at]).all():
        return UserError(
            f"{where}: expected activations up to 65504, f16's largest, found {exact[at].abs().max():.6g}; use --dtype f32"
        )
    return UserError(f"{where}: expected finite activations, found NaN or infinity; check the model")


def load_model(args: argparse.Namespace) -> tuple[HookedModel, Tokenizer]:
    if args.device != "cpu" and not getattr(torch, args.device).is_available():
        raise UserError(f"--device {args.device}: not available on this machine; use --device cpu")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        hf_tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
        # Half-precision weights are slow on a CPU; elsewhere the checkpoint's own type is kept.
        model = transformers.AutoModel.from_pretrained(args.model, dtype=torch.float32 if args.device == "cpu" else "auto")
    except (OSError, ValueError, ImportError) as e:
        raise UserError(
            f"--model {args.model}: expected a model directory or a name on the hub; {str(e).splitlines()[0]}"
        ) from None
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min(positions or sys.maxsize, hf_tokenizer.model_max_length)
    if args.ctx_len and args.ctx_len > limit:
        raise UserError(f"--ctx-len {args.ctx_len}: expected at most {limit}, what this model takes")
    tokenizer = Tokenizer(hf_tokenizer, args.ctx_len or min(limit, 256), args.keep_special)
    return HookedModel(model.to(args.device), args.layer, args.module), tokenizer


def make_table(windows: list[Window], acts: np.ndarray, tokenizer: Tokenizer, columns: dict[str, pa.DataType]) -> pa.Table:
    element = pa.field("element", pa.from_numpy_dtype(acts.dtype), nullable=False)
    ids = np.concatenate([w.ids[w.kept] for w in windows]).astype(np.int32)
    # What is the same in a whole window is made once per window, then spread over its rows.
    spread = pa.array(np.repeat(np.arange(len(windows)), [w.rows for w in windows]))
    data = {
        "activation": pa.FixedSizeListArray.from_arrays(pa.array(acts.reshape(-1)), type=pa.list_(element, acts.shape[1])),
        "doc_id": pa.array([w.doc_id for w in windows], pa.int32()).take(spread),
        "pos": pa.array(np.concatenate([np.arange(w.pos, w.pos + w.rows, dtype=np.int32) for w in windows])),
        "token_id": pa.array(ids),
        "token": pa.array([tokenizer.show(int(i)) for i in ids], pa.string()).dictionary_encode(),
    }
    for name, kind in columns.items():
        values = [w.doc.meta.get(name) for w in windows]
        if kind == pa.string():
            texts = pa.array([None if v is None else str(v) for v in values], kind)
            data[name] = texts.dictionary_encode().take(spread)
        else:
            data[name] = pa.array(values, kind).take(spread)
    fields = [pa.field(name, array.type, nullable=name not in OWN_COLUMNS) for name, array in data.items()]
    return pa.table(list(data.values()), schema=pa.schema(fields))


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


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message}; --help shows the options")


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text}")
    return int(text)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    p = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    hook = p.add_mutually_exclusive_group(required=True)

    def add(name: str, what: str, to: Any = p, **kinds: Any) -> None:
        shown = "" if kinds.get("default") is None else " (default: %(default)s)"
        to.add_argument(name, help=what + shown, **kinds)

    model_help = "model directory, or name on the Hugging Face hub; of an encoder-decoder model the encoder is used"
    layer_help = "residual stream after block N, counted from 1, before any final norm; 0 = what goes into block 1"
    corpus_help = "directory of KIND/NAME.txt, or .jsonl file of {text, ...}; the rest becomes metadata columns"
    ctx_help = "tokens the model sees at once, special ones included (default: 256, or the model's maximum if less)"
    add("--model", model_help, required=True, metavar="PATH_OR_NAME")
    add("--model-name", "name to record in dump.json (default: the last part of the path, or the hub name)")
    add("--layer", layer_help, hook, type=int, metavar="N")
    add("--module", "output of this module, named as in model.named_modules()", hook, metavar="NAME")
    add("--corpus", corpus_help, required=True, type=Path, metavar="DIR_OR_JSONL")
    add("--out", "directory to write; an interrupted dump in it is continued", required=True, type=Path, metavar="DUMP_DIR")
    add("--dtype", "type of the written activations", choices=DTYPES, default="f16")
    add("--ctx-len", ctx_help, type=positive, metavar="N")
    add("--batch-size", "windows per forward pass", type=positive, default=32, metavar="N")
    add(
        "--rows-per-shard",
        "a shard ends with the document that reaches this",
        type=positive,
        default=4 * ROW_GROUP,
        metavar="N",
    )
    add("--device", "where the model runs", choices=("cpu", "cuda", "mps"), default="cpu")
    p.add_argument("--keep-special", action="store_true", help="also write the special tokens put around each window")
    add("--max-docs", "only the first N documents", type=positive, metavar="N")
    return p.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    corpus = Corpus(args.corpus, args.max_docs)
    name = args.model_name or (Path(args.model).resolve().name if Path(args.model).is_dir() else args.model)
    settings = {
        "model_name": name,
        "hook": args.module if args.layer is None else f"layer {args.layer}",
        **{key: getattr(args, key) for key in ("dtype", "ctx_len", "keep_special", "rows_per_shard", "max_docs")},
        "corpus_sha256": corpus.sha256,
    }
    dump = Dump(args.out, settings)
    if dump.done:
        print(f"{args.out}: already complete, {dump.rows} rows; nothing to do", file=sys.stderr)
        return
    model, tokenizer = load_model(args)

    first_doc = dump.shards[-1]["next_doc"] if dump.shards else 0
    chars = sum(len(doc.text) for i, doc in enumerate(corpus) if i < first_doc)
    planned = dump.rows
    with tqdm(unit="tok", unit_scale=True, initial=planned) as bar:

        def activations(group: list[Window]) -> np.ndarray:
            return model.activations(group, args.dtype, args.batch_size, tokenizer.pad_id, bar)

        for windows, next_doc in plan_shards(corpus, first_doc, tokenizer, args.rows_per_shard):
            planned += sum(w.rows for w in windows)
            chars += sum(len(doc.text) for doc in {w.doc_id: w.doc for w in windows}.values())
            bar.total = round(planned * corpus.chars / chars)  # an estimate until the last shard
            tables = (make_table(g, activations(g), tokenizer, corpus.columns) for g in row_groups(windows))
            dump.add(tables, next_doc)
    if not dump.shards:
        raise UserError(f"{args.corpus}: expected documents with tokens, found none")
    about = {"format_version": 1, "model_name": name, "hook_name": model.hook_name, "d_in": model.d_in}
    about |= {"dtype": args.dtype, "vocab": None, "created_by": f"dump_activations.py {VERSION}"}
    dump.finish(about | {"ctx_len": tokenizer.ctx_len, "tokenizer": tokenizer.about()})
    print(f"{args.out}: complete, {dump.rows} rows", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    try:
        run(parse_args(argv))
    except (UserError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on after the last finished shard", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
