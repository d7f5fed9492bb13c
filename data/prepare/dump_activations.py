#!/usr/bin/env python3
"""Run a Hugging Face text model over a corpus and dump the activations of its modules as Parquet.

One row per token: columns `activation` (fixed-size list of f16 or f32), `doc_id`, `pos`, `token_id`,
`token`, then the corpus's own metadata. With several --layer or --module there is a column of each,
`activation_LAYER`; --target-layer adds `target`, --gradient adds `gradient`. dump.json, written last,
describes the dump. An interrupted run is continued by the same command.

What `token` holds, so that a reader can show a text again:
  - byte-level BPE and SentencePiece: the text, with its leading space where it has one; joining the
    tokens gives the document. A token that is only part of a character shows as U+FFFD.
  - WordPiece (BERT): the vocabulary's own form; `##ing` continues the word before it, a token
    without `##` starts a new one.
  - anything else: the vocabulary's own form.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import transformers
from tqdm import tqdm

from dump_files import ROW_GROUP, Corpus, Dump, UserError
from hooked_model import DTYPES, LOSSES, HookedModel, Place, loss_of
from windows import Tokenizer, Window, plan_shards, row_groups

VERSION = "0.2.0"


def load_model(args: argparse.Namespace) -> tuple[HookedModel, Tokenizer]:
    if args.device != "cpu" and not getattr(torch, args.device).is_available():
        raise UserError(f"--device {args.device}: not available on this machine; use --device cpu")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    loss, kind = None, transformers.AutoModel
    try:
        hf_tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
        if args.gradient:
            loss, kind = loss_of(transformers.AutoConfig.from_pretrained(args.model))
        # Half-precision weights are slow on a CPU; elsewhere the checkpoint's own type is kept.
        model = kind.from_pretrained(args.model, dtype=torch.float32 if args.device == "cpu" else "auto")
    except (OSError, ValueError, ImportError) as e:
        raise UserError(
            f"--model {args.model}: expected a model directory or a name on the hub; {str(e).splitlines()[0]}"
        ) from None
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limit = min(positions or sys.maxsize, hf_tokenizer.model_max_length)
    if args.ctx_len and args.ctx_len > limit:
        raise UserError(f"--ctx-len {args.ctx_len}: expected at most {limit}, what this model takes")
    tokenizer = Tokenizer(hf_tokenizer, args.ctx_len or min(limit, 256), args.keep_special)
    return HookedModel(model.to(args.device), places(args), loss), tokenizer


def places(args: argparse.Namespace) -> list[Place]:
    """The activations, in the order of the options, then the target."""
    hooks = [(layer, None) for layer in args.layer] + [(None, module) for module in args.module]
    columns = ["activation"] if len(hooks) == 1 else [f"activation_{n if m is None else m}" for n, m in hooks]
    found = [Place(column, *hook) for column, hook in zip(columns, hooks)]
    if args.target_layer is not None or args.target_module:
        found.append(Place("target", args.target_layer, args.target_module))
    return found


def make_table(
    windows: list[Window], lists: dict[str, np.ndarray], tokenizer: Tokenizer, columns: dict[str, pa.DataType]
) -> pa.Table:
    ids = np.concatenate([w.ids[w.kept] for w in windows]).astype(np.int32)
    # What is the same in a whole window is made once per window, then spread over its rows.
    spread = pa.array(np.repeat(np.arange(len(windows)), [w.rows for w in windows]))
    data = {name: list_array(rows) for name, rows in lists.items()} | {
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
    fields = [pa.field(name, array.type, nullable=name in columns) for name, array in data.items()]
    return pa.table(list(data.values()), schema=pa.schema(fields))


def list_array(rows: np.ndarray) -> pa.Array:
    element = pa.field("element", pa.from_numpy_dtype(rows.dtype), nullable=False)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=pa.list_(element, rows.shape[1]))


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
    target = p.add_mutually_exclusive_group()

    def add(name: str, what: str, to: Any = p, **kinds: Any) -> None:
        shown = "" if kinds.get("default") is None else " (default: %(default)s)"
        to.add_argument(name, help=what + shown, **kinds)

    model_help = "model directory, or name on the Hugging Face hub; of an encoder-decoder model the encoder is used"
    layer_help = (
        "residual stream after block N, counted from 1, before any final norm; 0 = what goes into block 1; "
        "given several times, a column activation_N of each"
    )
    module_help = "output of this module, named as in model.named_modules(); several: a column activation_NAME of each"
    gradient_help = (
        "also write the column gradient: of the model's own loss at the activation, summed over the tokens of a window"
    )
    corpus_help = "directory of KIND/NAME.txt, or .jsonl file of {text, ...}; the rest becomes metadata columns"
    ctx_help = "tokens the model sees at once, special ones included (default: 256, or the model's maximum if less)"
    add("--model", model_help, required=True, metavar="PATH_OR_NAME")
    add("--model-name", "name to record in dump.json (default: the last part of the path, or the hub name)")
    add("--layer", layer_help, hook, type=int, action="append", metavar="N")
    add("--module", module_help, hook, action="append", metavar="NAME")
    add("--target-layer", "also write the column target: the same of another layer", target, type=int, metavar="N")
    add("--target-module", "the same of another module", target, metavar="NAME")
    p.add_argument("--gradient", action="store_true", help=gradient_help)
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
    args = p.parse_args(argv)
    args.layer, args.module = args.layer or [], args.module or []
    hooks = args.layer + args.module
    if len(set(hooks)) < len(hooks):
        p.error("expected different layers or modules, found one twice")
    if args.gradient and len(hooks) > 1:
        p.error(f"--gradient: expected one layer or module, found {len(hooks)}")
    return args


def hooks_of(args: argparse.Namespace) -> dict[str, list[str]]:
    """As they stand in the settings of a dump."""
    hooks: dict[str, list[str]] = {"hook": [], "target": []}
    for place in places(args):
        name = place.module if place.layer is None else f"layer {place.layer}"
        hooks["target" if place.column == "target" else "hook"].append(name)
    return hooks


def describe(model: HookedModel) -> dict[str, Any]:
    """What dump.json says of the columns: of one activation by itself as ever, of more also of each."""
    activations = [place for place in model.places if place.column != "target"]
    about: dict[str, Any] = {"hook_name": ", ".join(place.hook_name for place in activations)}
    if len(activations) == 1:
        about["d_in"] = activations[0].width
    columns = {place.column: {"hook_name": place.hook_name, "width": place.width} for place in model.places}
    if model.loss:
        columns["gradient"] = {"of": LOSSES[model.loss], "width": activations[0].width}
    return about | ({"columns": columns} if len(columns) > 1 else {})


def run(args: argparse.Namespace) -> None:
    corpus = Corpus(args.corpus, args.max_docs)
    name = args.model_name or (Path(args.model).resolve().name if Path(args.model).is_dir() else args.model)
    settings = {
        "model_name": name,
        **{key: ", ".join(hooks) for key, hooks in hooks_of(args).items() if hooks},
        **({"gradient": True} if args.gradient else {}),
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

        def activations(group: list[Window]) -> dict[str, np.ndarray]:
            return model.activations(group, args.dtype, args.batch_size, tokenizer.pad_id, bar)

        for windows, next_doc in plan_shards(corpus, first_doc, tokenizer, args.rows_per_shard):
            planned += sum(w.rows for w in windows)
            chars += sum(len(doc.text) for doc in {w.doc_id: w.doc for w in windows}.values())
            bar.total = round(planned * corpus.chars / chars)  # an estimate until the last shard
            tables = (make_table(g, activations(g), tokenizer, corpus.columns) for g in row_groups(windows))
            dump.add(tables, next_doc)
    if not dump.shards:
        raise UserError(f"{args.corpus}: expected documents with tokens, found none")
    about = {"format_version": 1, "model_name": name, **describe(model)}
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
