"""Tests of dump_activations.py on tiny random models; no network, no downloads.

HF_HUB_OFFLINE=1 python -m unittest test_dump_activations.py      (in this directory)
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast, T5Config, T5Model

import dump_activations
from dump_files import Dump

WORDS = "the cat sat on a mat and then it ran away from dog".split()
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
VOCAB = {word: i for i, word in enumerate([*SPECIAL.values(), *WORDS])}
CLS, SEP = VOCAB["[CLS]"], VOCAB["[SEP]"]
SIZE = dict(vocab_size=len(VOCAB), hidden_size=16, num_hidden_layers=3, num_attention_heads=2)


def word_tokenizer(around: bool) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel(VOCAB, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if around:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=32, **SPECIAL)


def text(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words))


class Dumping(unittest.TestCase):
    """Tiny models with a tokenizer, a small corpus, and dumps of them."""

    @classmethod
    def make_models(cls) -> dict[str, torch.nn.Module]:
        raise unittest.SkipTest("this class has no tests")

    @classmethod
    def setUpClass(cls) -> None:
        cls.temp = tempfile.TemporaryDirectory()
        cls.root = Path(cls.temp.name)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.manual_seed(0)
        cls.models = cls.make_models()
        for name, model in cls.models.items():
            model.eval().save_pretrained(cls.root / name)
            word_tokenizer(around=name == "bert").save_pretrained(cls.root / name)

        rng = np.random.default_rng(0)
        cls.corpus = cls.root / "corpus"
        cls.texts = {}
        for name, words in [("a/one.txt", 5), ("a/two.txt", 70), ("b/empty.txt", 0), ("b/x.txt", 31), ("top.txt", 12)]:
            cls.texts[name] = text(rng, words)
            (cls.corpus / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.corpus / name).write_text(cls.texts[name], encoding="utf-8")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temp.cleanup()

    def dump(self, model: str, out: str, *options: str, corpus: Path | None = None) -> tuple[int, str]:
        """The exit status and what was written to stderr."""
        argv = [
            "--model",
            str(self.root / model),
            "--corpus",
            str(corpus or self.corpus),
            "--out",
            str(self.root / out),
        ]
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = dump_activations.main([*argv, *options])
        return status, err.getvalue()

    def rows(self, model: str, out: str, *options: str, corpus: Path | None = None) -> dict[str, list]:
        status, err = self.dump(model, out, *options, corpus=corpus)
        self.assertEqual(status, 0, err)
        about = json.loads((self.root / out / "dump.json").read_text())
        table = [pq.read_table(self.root / out / shard["file"]) for shard in about["shards"]]
        self.assertEqual([t.num_rows for t in table], [shard["rows"] for shard in about["shards"]])
        return {name: [v for t in table for v in t[name].to_pylist()] for name in table[0].column_names}

    def assertFails(self, expected: str, model: str, out: str, *options: str, corpus: Path | None = None) -> str:
        status, err = self.dump(model, out, *options, corpus=corpus)
        self.assertEqual(status, 1)
        self.assertIn(expected, err)
        self.assertEqual(err.count("\n") - err.count("tok/s]\n"), 1, err)  # one line, and the bar's
        return err

    def windows(self, name: str, body: int, around: bool) -> list[list[int]]:
        ids = [VOCAB[word] for word in self.texts[name].split()]
        pieces = [ids[i : i + body] for i in range(0, len(ids), body)]
        return [[CLS, *piece, SEP] for piece in pieces] if around else pieces


class DumpActivations(Dumping):
    @classmethod
    def make_models(cls) -> dict[str, torch.nn.Module]:
        return {
            "bert": BertModel(BertConfig(**SIZE, intermediate_size=32, max_position_embeddings=32)),
            "gpt2": GPT2Model(GPT2Config(**SIZE, n_positions=32)),
            "t5": T5Model(T5Config(vocab_size=len(VOCAB), d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)),
        }

    def expected(self, model: str, layer: int, ctx_len: int) -> np.ndarray:
        """hidden_states[layer] of every window by itself, without the special tokens."""
        around, rows = model == "bert", []
        for name in sorted(self.texts):
            for ids in self.windows(name, ctx_len - 2 * around, around):
                with torch.inference_mode():
                    states = self.models[model](torch.tensor([ids]), output_hidden_states=True).hidden_states
                rows.append(states[layer][0, around : len(ids) - around].numpy())
        return np.concatenate(rows)

    def test_layer_is_hidden_states(self) -> None:
        # After the last block GPT-2's hidden_states hold the final norm's output: not layer 3.
        for model, layers in ("bert", range(4)), ("gpt2", range(3)):
            for layer in layers:
                with self.subTest(model=model, layer=layer):
                    # A batch of one: the same sums in the same order, hence the same bits.
                    rows = self.rows(
                        model, f"hs-{model}-{layer}", "--layer", str(layer), "--dtype", "f32", "--batch-size", "1"
                    )
                    found = np.array(rows["activation"], np.float32)
                    np.testing.assert_array_equal(found, self.expected(model, layer, 32))

    def test_last_layer_is_before_the_final_norm(self) -> None:
        rows = self.rows("gpt2", "last", "--layer", "3", "--dtype", "f32", "--batch-size", "1")
        with torch.inference_mode():
            normed = self.models["gpt2"].ln_f(torch.tensor(rows["activation"])).numpy()
        np.testing.assert_allclose(normed, self.expected("gpt2", 3, 32), atol=1e-6)

    def test_module_is_the_same_as_layer(self) -> None:
        by_layer = self.rows("bert", "by-layer", "--layer", "2")
        by_name = self.rows("bert", "by-name", "--module", "encoder.layer.1")
        self.assertEqual(by_layer, by_name)
        self.assertEqual(json.loads((self.root / "by-layer/dump.json").read_text())["hook_name"], "encoder.layer.1")

    def test_batch_size_does_not_matter(self) -> None:
        for model in ("bert", "gpt2"):
            one = self.rows(
                model, f"batch-1-{model}", "--layer", "2", "--dtype", "f32", "--ctx-len", "9", "--batch-size", "1"
            )
            many = self.rows(
                model, f"batch-7-{model}", "--layer", "2", "--dtype", "f32", "--ctx-len", "9", "--batch-size", "7"
            )
            np.testing.assert_allclose(one.pop("activation"), many.pop("activation"), atol=1e-5)
            self.assertEqual(one, many)

    def test_f16_is_f32_rounded(self) -> None:
        f32 = np.array(self.rows("bert", "f32", "--layer", "1", "--dtype", "f32")["activation"], np.float32)
        f16 = np.array(self.rows("bert", "f16", "--layer", "1")["activation"], np.float32)
        np.testing.assert_array_equal(f16, f32.astype(np.float16).astype(np.float32))

    def test_documents_and_positions(self) -> None:
        rows = self.rows("bert", "docs", "--layer", "1", "--ctx-len", "10")
        words = [w for name in sorted(self.texts) for w in self.texts[name].split()]
        self.assertEqual(rows["token"], words)
        self.assertEqual(rows["token_id"], [VOCAB[w] for w in words])
        lengths = [(i, name, len(self.texts[name].split())) for i, name in enumerate(sorted(self.texts))]
        self.assertEqual(rows["doc_id"], [i for i, _, n in lengths for _ in range(n)])
        self.assertEqual(rows["pos"], [p for _, _, n in lengths for p in range(n)])
        self.assertEqual(rows["document"], [name for _, name, n in lengths for _ in range(n)])
        self.assertEqual(
            set(zip(rows["document"], rows["kind"])),
            {("a/one.txt", "a"), ("a/two.txt", "a"), ("b/x.txt", "b"), ("top.txt", "")},
        )

    def test_windows_and_kept_special_tokens(self) -> None:
        rows = self.rows(
            "bert",
            "special",
            "--layer",
            "1",
            "--ctx-len",
            "10",
            "--keep-special",
            "--dtype",
            "f32",
            "--batch-size",
            "1",
        )
        ids = [w for name in sorted(self.texts) for w in self.windows(name, 8, True)]
        self.assertEqual(rows["token_id"], [i for window in ids for i in window])
        self.assertEqual(rows["pos"][7 : 7 + 88], list(range(88)))  # 70 words in 9 windows: 18 special tokens
        kept = np.array([i not in (CLS, SEP) for i in rows["token_id"]])
        np.testing.assert_array_equal(np.array(rows["activation"], np.float32)[kept], self.expected("bert", 1, 10))

    def test_encoder_of_an_encoder_decoder(self) -> None:
        rows = self.rows("t5", "t5-out", "--layer", "2", "--dtype", "f32", "--ctx-len", "8", "--batch-size", "1")
        ids = torch.tensor(self.windows("a/one.txt", 8, False))
        with torch.inference_mode():
            states = self.models["t5"].get_encoder()(ids, output_hidden_states=True).hidden_states
        np.testing.assert_array_equal(np.array(rows["activation"][:5], np.float32), states[2][0].numpy())

    def test_parquet_layout(self) -> None:
        self.rows("bert", "layout", "--layer", "1")
        file = pq.ParquetFile(self.root / "layout/00000.parquet")
        self.assertEqual(str(file.schema_arrow.field("activation").type), "fixed_size_list<element: halffloat not null>[16]")
        column = file.metadata.row_group(0).column(0)
        self.assertFalse(column.has_dictionary_page or column.is_stats_set)
        self.assertEqual(column.compression, "ZSTD")
        about = json.loads((self.root / "layout/dump.json").read_text())
        self.assertEqual((about["format_version"], about["d_in"], about["dtype"], about["n_rows"]), (1, 16, "f16", 118))
        self.assertEqual(sorted(p.name for p in (self.root / "layout").iterdir()), ["00000.parquet", "dump.json"])

    def test_row_groups(self) -> None:
        whole = self.rows("bert", "one-group", "--layer", "1", "--ctx-len", "10", "--batch-size", "1")
        with mock.patch("windows.ROW_GROUP", 20):
            self.assertEqual(self.rows("bert", "groups", "--layer", "1", "--ctx-len", "10", "--batch-size", "1"), whole)
        self.assertEqual(pq.read_metadata(self.root / "groups/00000.parquet").num_row_groups, 8)

    def test_jsonl_columns(self) -> None:
        corpus = self.root / "corpus.jsonl"
        docs = [
            {"text": "the cat", "year": 1, "odd": 1, "tags": []},
            {"text": "a dog", "score": 0.5, "odd": "x", "ok": True},
        ]
        corpus.write_text("\n\n".join(map(json.dumps, docs)))
        rows = self.rows("gpt2", "jsonl", "--layer", "1", corpus=corpus)
        self.assertEqual(rows["year"], [1, 1, None, None])
        self.assertEqual(rows["score"], [None, None, 0.5, 0.5])
        self.assertEqual(rows["odd"], ["1", "1", "x", "x"])
        self.assertEqual(rows["ok"], [None, None, True, True])
        self.assertNotIn("tags", rows)
        self.assertEqual(len(self.rows("gpt2", "first", "--layer", "1", "--max-docs", "1", corpus=corpus)["pos"]), 2)
        for line, expected in (
            ("{", "one JSON object per line"),
            ("[]", "'text'"),
            ('{"text": "a", "pos": 1}', "rename"),
        ):
            corpus.write_text(line)
            self.assertFails(expected, "gpt2", "bad-jsonl", "--layer", "1", corpus=corpus)

    def test_resume_gives_the_same_bytes(self) -> None:
        options = ["--layer", "2", "--ctx-len", "10", "--rows-per-shard", "30", "--batch-size", "3"]
        self.rows("bert", "whole", *options)
        whole, part = self.root / "whole", self.root / "part"
        names = [shard["file"] for shard in json.loads((whole / "dump.json").read_text())["shards"]]
        self.assertEqual(names, ["00000.parquet", "00001.parquet", "00002.parquet"])

        add = Dump.add

        def add_once(self: Dump, tables: object, next_doc: int) -> None:
            if self.shards:
                next(tables)
                raise KeyboardInterrupt
            add(self, tables, next_doc)

        with mock.patch.object(Dump, "add", add_once):
            self.assertEqual(self.dump("bert", "part", *options)[0], 130)
        self.assertFalse((part / "dump.json").exists())
        self.assertFails("dtype = f16, now dtype = f32", "bert", "part", *options, "--dtype", "f32")
        first = (part / "00000.parquet").stat().st_mtime_ns
        self.assertEqual(self.dump("bert", "part", *options)[0], 0)
        self.assertEqual((part / "00000.parquet").stat().st_mtime_ns, first)
        for name in [*names, "dump.json"]:
            self.assertEqual((whole / name).read_bytes(), (part / name).read_bytes(), name)

        status, err = self.dump("bert", "part", *options)
        self.assertEqual(status, 0)
        self.assertIn("already complete", err)
        (part / names[1]).write_bytes(b"PAR1")
        self.assertFails("damaged or missing", "bert", "part", *options)

    def test_a_damaged_shard_is_made_again(self) -> None:
        options = ["--layer", "2", "--rows-per-shard", "30"]
        with mock.patch.object(Dump, "finish", side_effect=KeyboardInterrupt):
            self.assertEqual(self.dump("gpt2", "damaged", *options)[0], 130)
        shard = self.root / "damaged/00001.parquet"
        before = shard.read_bytes()
        shard.write_bytes(before[:100])
        status, err = self.dump("gpt2", "damaged", *options)
        self.assertEqual(status, 0)
        self.assertIn("00001.parquet: damaged", err)
        self.assertEqual(shard.read_bytes(), before)

    def test_token_texts(self) -> None:
        def show(backend: Tokenizer, *ids: int) -> list[str]:
            hf = PreTrainedTokenizerFast(tokenizer_object=backend)
            tokenizer = dump_activations.Tokenizer(hf, 8, False)
            return [tokenizer.show(i) for i in ids]

        pieces = models.WordPiece({"a": 0, "##ing": 1, "[UNK]": 2}, unk_token="[UNK]")
        backend = Tokenizer(pieces)
        backend.decoder = decoders.WordPiece()
        self.assertEqual(show(backend, 0, 1), ["a", "##ing"])
        backend = Tokenizer(models.BPE({"a": 0, "Ġthe": 1, "Ċ": 2, "Ã": 3}, []))
        backend.decoder = decoders.ByteLevel()
        self.assertEqual(show(backend, 0, 1, 2, 3), ["a", " the", "\n", "\ufffd"])
        backend = Tokenizer(models.BPE({"a": 0, "▁the": 1, "<0x0A>": 2, "<0xC3>": 3}, []))
        backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        self.assertEqual(show(backend, 0, 1, 2, 3), ["a", " the", "\n", "\ufffd"])

    def test_not_finite(self) -> None:
        for name, value, expected in ("big", 1e5, "use --dtype f32"), ("nan", float("nan"), "NaN or infinity"):
            model = BertModel.from_pretrained(self.root / "bert")
            with torch.no_grad():  # position 3 of a window is its third word
                model.embeddings.position_embeddings.weight[3] = value
                model.embeddings.LayerNorm = torch.nn.Identity()
            with mock.patch("transformers.AutoModel.from_pretrained", return_value=model):
                err = self.assertFails(expected, "bert", name, "--layer", "0", "--max-docs", "1")
            self.assertIn("a/one.txt: position 2", err)

    def test_user_errors(self) -> None:
        self.assertFails("encoder.layer.1", "bert", "e", "--module", "encoder.layers.1")
        self.assertFails("expected 0 to 3", "bert", "e", "--layer", "4")
        self.assertFails("expected a tensor [2, 3, d], found [2, 16]", "bert", "e", "--module", "pooler")
        self.assertFails("does not", "gpt2", "e", "--module", "h")
        self.assertFails("at most 32", "bert", "e", "--layer", "1", "--ctx-len", "33")
        self.assertFails("2 special tokens", "bert", "e", "--layer", "1", "--ctx-len", "2")
        self.assertFails("nothing there", "bert", "e", "--layer", "1", corpus=self.root / "none")
        self.assertFails("found none", "bert", "e", "--layer", "1", corpus=self.root / "bert")
        self.assertFails("expected a model directory", "missing", "e", "--layer", "1")
        self.assertFails("--help", "bert", "e")
        self.assertFails("above 0", "bert", "e", "--layer", "1", "--batch-size", "0")
        (self.root / "latin").mkdir()
        (self.root / "latin/a.txt").write_bytes(b"caf\xe9")
        self.assertFails("expected UTF-8", "bert", "e", "--layer", "1", corpus=self.root / "latin")
        (self.root / "latin/a.txt").write_text(" \n")
        self.assertFails("documents with tokens", "bert", "e", "--layer", "1", corpus=self.root / "latin")
        self.assertFalse((self.root / "e").exists())


if __name__ == "__main__":
    unittest.main()
