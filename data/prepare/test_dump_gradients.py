"""Tests of dump_activations.py with --gradient, several layers and a target.

HF_HUB_OFFLINE=1 python -m unittest test_dump_gradients.py      (in this directory)
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from test_dump_activations import CLS, SEP, SIZE, VOCAB, Dumping, word_tokenizer

F32 = ("--dtype", "f32")


class DumpGradients(Dumping):
    @classmethod
    def make_models(cls) -> dict[str, torch.nn.Module]:
        quiet = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
        return {
            "bert": BertForMaskedLM(BertConfig(**SIZE, intermediate_size=32, max_position_embeddings=32)),
            "gpt2": GPT2LMHeadModel(GPT2Config(**SIZE, n_positions=32, initializer_range=0.3, **quiet)),
        }

    def loss(self, name: str, ids: list[int], block: str, way: torch.Tensor) -> float:
        """Summed over tokens, with `way` added to what the block puts out; in f64, unlike transformers' own."""
        model, tokens = self.models[name], torch.tensor([ids])
        moved = lambda out: (out[0] + way, *out[1:]) if isinstance(out, tuple) else out + way  # noqa: E731
        hook = model.get_submodule(block).register_forward_hook(lambda _m, _a, out: moved(out))
        with torch.no_grad():
            out = model(tokens, labels=tokens)
        hook.remove()
        shift = int(name == "gpt2")
        logits, labels = out.logits[0, : len(ids) - shift], tokens[0, shift:]
        loss = -logits.log_softmax(1)[range(len(labels)), labels].sum()
        if len(labels):
            self.assertAlmostEqual(out.loss.item(), loss.item() / len(labels), places=5)
        return loss.item()

    def test_gradient_is_a_finite_difference(self) -> None:
        rng = np.random.default_rng(0)
        for name, block in ("gpt2", "transformer.h.0"), ("bert", "bert.encoder.layer.0"):
            around = int(name == "bert")
            rows = self.rows(name, f"fd-{name}", "--layer", "1", "--gradient", "--ctx-len", "12", *F32)
            gradient, start = np.array(rows["gradient"], np.float64), 0
            self.models[name].double()
            for text in sorted(self.texts):
                for ids in self.windows(text, 12 - 2 * around, bool(around)):
                    inner = slice(around, len(ids) - around)
                    way = torch.zeros(1, len(ids), 16, dtype=torch.float64)
                    way[0, inner] = torch.tensor(rng.standard_normal((len(ids), 16)))[inner]
                    ends = [self.loss(name, ids, block, size * way) for size in (1e-5, -1e-5)]
                    stop = start + len(ids) - 2 * around
                    found = (gradient[start:stop] * way[0, inner].numpy()).sum()
                    self.assertAlmostEqual(found, (ends[0] - ends[1]) / 2e-5, delta=1e-4)
                    start = stop
            self.models[name].float()
            self.assertEqual(start, len(gradient))
            self.assertGreater(np.abs(gradient).max(), 1e-2)

    def test_the_activations_are_the_same_with_gradients(self) -> None:
        for name in self.models:
            for layer in "0", "2", "3":
                plain = self.rows(name, f"plain-{name}-{layer}", "--layer", layer, *F32)
                rows = self.rows(name, f"with-{name}-{layer}", "--layer", layer, "--gradient", *F32)
                np.testing.assert_allclose(rows.pop("activation"), plain.pop("activation"), atol=1e-6)
                self.assertEqual(np.shape(rows.pop("gradient")), (118, 16))
                self.assertEqual(rows, plain)
        about = json.loads((self.root / "with-gpt2-2/dump.json").read_text())
        without = json.loads((self.root / "plain-gpt2-2/dump.json").read_text())
        self.assertEqual(about["hook_name"], without["hook_name"])
        self.assertEqual(about["columns"]["gradient"], {"of": "next-token cross-entropy", "width": 16})
        self.assertNotIn("columns", without)

    def test_batch_size_does_not_matter(self) -> None:
        for name in self.models:
            one, many = (
                self.rows(name, f"{name}-by-{n}", "--layer", "1", "--gradient", "--ctx-len", "9", "--batch-size", n, *F32)
                for n in ("1", "7")
            )
            np.testing.assert_allclose(one["gradient"], many["gradient"], atol=1e-5)

    def test_the_last_token_of_a_decoder_is_of_no_account_after_the_last_block(self) -> None:
        rows = self.rows("gpt2", "last-block", "--layer", "3", "--gradient", *F32)
        norms = np.linalg.norm(rows["gradient"], axis=1)
        ends = [0] * 118
        for end in 4, 36, 68, 74, 105, 117:  # windows of 32 tokens: 5; 32, 32, 6; 31; 12
            ends[end] = 1
        np.testing.assert_array_equal(norms == 0, np.array(ends, bool))

    def test_gradient_in_the_file(self) -> None:
        self.rows("gpt2", "f16", "--layer", "1", "--gradient")
        file = pq.ParquetFile(self.root / "f16/00000.parquet")
        for column in "activation", "gradient":
            kind = str(file.schema_arrow.field(column).type)
            self.assertEqual(kind, "fixed_size_list<element: halffloat not null>[16]")
        self.assertFalse(file.metadata.row_group(0).column(1).has_dictionary_page)

    def test_a_model_without_a_loss_is_refused(self) -> None:
        self.models["bert"].bert.save_pretrained(self.root / "headless")
        word_tokenizer(around=True).save_pretrained(self.root / "headless")
        self.assertFails("no loss of its own", "headless", "e", "--layer", "1", "--gradient")
        self.assertFails("found 2", "gpt2", "e", "--layer", "1", "--layer", "2", "--gradient")
        self.assertFalse((self.root / "e").exists())

    def test_several_layers(self) -> None:
        rows = self.rows("bert", "several", "--layer", "2", "--layer", "0", *F32)
        self.assertEqual(list(rows)[:3], ["activation_2", "activation_0", "doc_id"])
        for layer in "2", "0":
            alone = self.rows("bert", f"alone-{layer}", "--layer", layer, *F32)
            self.assertEqual(rows[f"activation_{layer}"], alone["activation"])
        about = json.loads((self.root / "several/dump.json").read_text())
        self.assertNotIn("d_in", about)
        self.assertEqual(about["hook_name"], "encoder.layer.1, encoder.layer.0.input")
        self.assertEqual(about["columns"]["activation_0"], {"hook_name": "encoder.layer.0.input", "width": 16})
        rows = self.rows("gpt2", "modules", "--module", "h.0.mlp.c_fc", "--module", "h.1")
        self.assertEqual([np.shape(rows[f"activation_{m}"]) for m in ("h.0.mlp.c_fc", "h.1")], [(118, 64), (118, 16)])
        self.assertFails("one twice", "gpt2", "e", "--layer", "1", "--layer", "1")

    def test_target(self) -> None:
        rows = self.rows("gpt2", "target", "--module", "h.1.ln_2", "--target-module", "h.1.mlp.c_fc", "--gradient", *F32)
        self.assertEqual(list(rows)[:3], ["activation", "target", "gradient"])
        mlp = self.models["gpt2"].transformer.h[1].mlp
        with torch.inference_mode():
            expected = mlp.c_fc(torch.tensor(rows["activation"], dtype=torch.float32)).numpy()
        np.testing.assert_allclose(rows["target"], expected, atol=1e-5)
        by_layer = self.rows("gpt2", "target-layer", "--layer", "1", "--target-layer", "2", *F32)
        self.assertEqual(by_layer["target"], self.rows("gpt2", "layer-2", "--layer", "2", *F32)["activation"])
        about = json.loads((self.root / "target/dump.json").read_text())
        self.assertEqual((about["hook_name"], about["d_in"]), ("h.1.ln_2", 16))
        self.assertEqual(about["columns"]["target"], {"hook_name": "h.1.mlp.c_fc", "width": 64})

    def test_going_on_with_other_columns_is_refused(self) -> None:
        self.rows("gpt2", "fixed", "--layer", "1", "--gradient")
        self.assertFails("gradient = True, now gradient = None", "gpt2", "fixed", "--layer", "1")
        self.rows("gpt2", "free", "--layer", "1")
        self.assertFails("target = None, now target = layer 2", "gpt2", "free", "--layer", "1", "--target-layer", "2")

    def test_corpus_with_such_a_field(self) -> None:
        corpus = self.root / "taken.jsonl"
        for name in "gradient", "target", "activation_3":
            corpus.write_text(json.dumps({"text": "a cat", name: 1}))
            self.assertFails("rename", "gpt2", "e", "--layer", "1", corpus=corpus)

    def test_the_window_has_its_special_tokens(self) -> None:
        """They are labels too: an encoder's loss is over all that it sees."""
        rows = self.rows("bert", "special", "--layer", "1", "--gradient", "--keep-special", "--max-docs", "1", *F32)
        self.assertEqual(rows["token_id"], [CLS, *(VOCAB[w] for w in self.texts["a/one.txt"].split()), SEP])
        self.assertGreater(min(np.linalg.norm(rows["gradient"], axis=1)), 0)
