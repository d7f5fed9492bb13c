"""Checks of the reference itself; needs the written cases.

python -m unittest test_reference.py      (in this directory)
"""

from __future__ import annotations

import json
import math
import unittest
from pathlib import Path

import torch
from safetensors import safe_open
from schedulefree import ScheduleFreeWrapper
from torch import Tensor

from cases import CASES, Case
from common import Step, Tensors, Variant
from make_golden import toml
from penalties import JumpRelu, Relu
from selections import BatchTopK, FeatureChoice, GradientTopK, Matryoshka, MatryoshkaK, MutualChoice, TopK, Transcoder
from training import Adam, SignumScheduleFree, finish_step, optimizer, run_forward


class File:
    """One written case, as tensors of `dtype`."""

    def __init__(self, name: str, dtype: torch.dtype = torch.float64):
        with safe_open(Path(__file__).with_name(f"{name}.safetensors"), "pt") as file:
            self.tensors = {key: file.get_tensor(key).to(dtype) for key in file.keys()}
            self.about = file.metadata()

    def group(self, prefix: str) -> Tensors:
        return {k.removeprefix(prefix): t for k, t in self.tensors.items() if k.startswith(prefix)}

    def step(self, case: Case, i: int = 0) -> Step:
        rows = {key: self.tensors[key][i] for key in ("x", "target", "gradient") if key in self.tensors}
        return Step(**rows, t=case.step + i, steps=case.steps, dead=case.dead)


def stepper(case: Case) -> Adam | SignumScheduleFree:
    keys = case.optimizer()
    wanted = ("name", "clip", "lr", "beta1") if keys["name"] == "signum_schedule_free" else keys
    return optimizer(**{k: keys[k] for k in wanted})


class Written(unittest.TestCase):
    def close(self, found: Tensor, expected: Tensor, limit: float, what: str) -> None:
        self.assertEqual(found.shape, expected.shape, what)
        self.assertTrue(torch.equal(found.isnan(), expected.isnan()), what)
        if expected.numel():
            error, scale = (a.nan_to_num().abs().max().item() for a in (found - expected, expected))
            self.assertLess(error, limit * max(1.0, scale), what)

    def test_every_case_is_what_the_code_says_even_in_f32(self) -> None:
        """f32 makes the same decisions, which is what the margins are for."""
        for name, case in CASES.items():
            for dtype, limit in (torch.float64, 1e-7), (torch.float32, 1e-4):
                with self.subTest(name, dtype=dtype):
                    file, v = File(name, dtype), case.variant()
                    self.assertEqual(file.about["variant"], toml(case))
                    self.assertEqual(json.loads(file.about["optim"]), case.optimizer())
                    params, state, optim = file.group("param."), file.group("state."), stepper(case)
                    for i in range(len(file.tensors["x"])):
                        step = file.step(case, i)
                        outcome, grads = run_forward(v, params, state, step)
                        self.assertGreater(float(step.margin.min()), 0.99 * case.margin)
                        if i == 0:
                            expected = {**file.group("term."), **file.group("grad.")}
                            found = {**outcome.terms, **grads}
                            self.assertEqual(found.keys(), expected.keys())
                            for key in found:
                                self.close(found[key].reshape(expected[key].shape), expected[key], limit, key)
                            codes = file.tensors["codes"]
                            self.assertTrue(torch.equal(outcome.codes != 0, codes != 0))
                            self.close(outcome.codes, codes, limit, "codes")
                            self.close(outcome.reconstruction, file.tensors["reconstruction"], limit, "x̂")
                        state = finish_step(v, params, state, step, optim, case.optimizer()["clip"], outcome, grads)
                    for key, expected in file.group("after.").items():
                        self.close(params[key], expected, limit, key)
                    after = file.group("after_state.")
                    self.assertEqual(state.keys(), after.keys())
                    for key in state:
                        self.close(state[key], after[key], limit, key)

    def test_gradients_are_finite_differences(self) -> None:
        """With what is stopped held fixed, and no row inside the kernels of JumpReLU."""
        for name, case in CASES.items():
            file, v = File(name), case.variant()
            if isinstance(v, JumpRelu):
                v.keys["bandwidth"] = 1e-9
            params, state, step = file.group("param."), file.group("state."), file.step(case)
            _, grads = run_forward(v, params, state, step)

            def loss(moved: Tensors) -> float:
                again = file.step(case)
                again.frozen = step.stopped
                return v.forward(moved, state, again).loss.item()

            for key, g in grads.items():
                with self.subTest(name, parameter=key):
                    generator = torch.Generator().manual_seed(0)
                    way = torch.randn(g.shape, generator=generator, dtype=torch.float64)
                    way = way / way.norm() * 1e-5
                    ends = [loss(params | {key: params[key] + sign * way}) for sign in (1, -1)]
                    difference, expected = (ends[0] - ends[1]) / 2, float((g * way).sum())
                    self.assertAlmostEqual(difference / 1e-5, expected / 1e-5, delta=1e-6 * (1 + float(g.norm())))

    def test_jump_relu_by_loops(self) -> None:
        for name in ("jump_relu_gemma", "jump_relu_gemma_quadratic_per_row", "jump_relu_anthropic"):
            file, case = File(name), CASES[name]
            v, p, step = case.variant(), file.group("param."), file.step(case)
            _, grads = run_forward(v, p, {}, step)
            z, eps, rows = v.pre_acts(p, step.x), v.bandwidth, len(step.x)
            theta, norms, coefficient = p["threshold"], p["w_dec"].norm(dim=1), v.l0_coefficient * step.warmup(0.25)
            to_theta, to_bias = torch.zeros_like(theta), torch.zeros_like(theta)
            f = z * (z > theta)
            l0, e = (z > theta).sum(1), f @ p["w_dec"] + p["b_dec"] - step.x
            for b in range(rows):
                for i in range(len(theta)):
                    edge = float(abs(z[b, i] - theta[i]) < eps / 2) / eps
                    to_f = 2 * float(e[b] @ p["w_dec"][i]) / rows
                    if v.form == "anthropic":
                        scale = v.tanh_scale * norms[i]
                        to_f += coefficient * float(scale * (1 - torch.tanh(scale * f[b, i]) ** 2)) / rows
                        to_bias[i] += to_f * theta[i] * edge
                        below = i in step.dead and z[b, i] < theta[i]
                        pushed = v.pre_act_coefficient * float(norms[i]) / rows * below
                        to_theta[i] += pushed
                        to_bias[i] -= pushed
                    elif v.l0_control == "none":
                        to_theta[i] -= coefficient / rows * edge
                    else:
                        slope = 2 * (float(l0[b]) / v.l0_target - 1) / v.l0_target
                        to_theta[i] -= coefficient * slope / rows * edge
                    to_theta[i] -= to_f * theta[i] * edge
                    to_bias[i] += to_f * float(z[b, i] > theta[i])
            self.close(grads["threshold"], to_theta, 1e-9, name)
            self.close(grads["b_enc"], to_bias, 1e-9, name)


def outcome_of(v: Variant, like: str, state: Tensors | None = None, **changes: object) -> tuple[float, Tensors]:
    file, case = File(like), CASES[like]
    step = file.step(case)
    for key, value in changes.items():
        setattr(step, key, value)
    outcome, grads = run_forward(v, file.group("param."), state or {}, step)
    return outcome.loss.item(), grads


class Identities(unittest.TestCase):
    def same(self, a: tuple[float, Tensors], b: tuple[float, Tensors]) -> None:
        self.assertAlmostEqual(a[0], b[0], delta=1e-12)
        for key in a[1]:
            torch.testing.assert_close(a[1][key], b[1][key], rtol=1e-10, atol=1e-12)

    def test_special_cases(self) -> None:
        topk, batch = CASES["topk_aux"].keys, CASES["batch_topk"].keys
        choice = CASES["mutual_choice_underused"].keys | {"aux_coefficient": batch["aux_coefficient"], "k": batch["k"]}
        unmoved = GradientTopK(**topk, beta=0.0, gradient_norm="none")
        gradient = torch.ones(18, 12, dtype=torch.float64)
        self.same(outcome_of(unmoved, "topk_aux", gradient=gradient), outcome_of(TopK(**topk), "topk_aux"))
        one_level = MatryoshkaK(levels=[3], weighting="reverse", loss="mse")
        self.same(outcome_of(one_level, "topk"), outcome_of(TopK(**topk | {"k": 3}), "topk"))

        batched = outcome_of(BatchTopK(**batch), "batch_topk")
        only_dead = MutualChoice(**choice | {"underused": 0.0})
        density = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.same(outcome_of(only_dead, "batch_topk", {"density": density}), batched)
        one_prefix = Matryoshka(**batch, prefixes=[40], weights=[1.0], detached=False)
        self.same(outcome_of(one_prefix, "batch_topk"), batched)

    def test_transcoder_to_itself_is_batch_topk_without_pre_bias(self) -> None:
        v = BatchTopK(**CASES["batch_topk"].keys)
        v.pre_bias = False
        x = File("batch_topk").tensors["x"][0]
        same = outcome_of(Transcoder(**CASES["batch_topk"].keys), "batch_topk", target=x)
        self.same(same, outcome_of(v, "batch_topk"))

    def test_p_of_one_is_l1(self) -> None:
        keys = CASES["relu_april"].keys
        state = {"alpha": torch.ones(1).double(), "s_now": torch.ones(0), "s_next": torch.ones(0)}
        steps = dict(t=1, steps=47)  # before p_from
        annealed = Relu(**keys | {"p_end": 0.5, "p_updates": 2, "l1_warmup": 0.0})
        plain = Relu(**keys | {"l1_warmup": 0.0})
        self.same(outcome_of(annealed, "relu_april", state, **steps), outcome_of(plain, "relu_april", **steps))

    def test_budgets(self) -> None:
        for name in ("feature_choice_uniform", "feature_choice_zipf"):
            v: FeatureChoice = CASES[name].variant()  # type: ignore[assignment]
            density = torch.arange(40).double()  # the last latent is the most frequent
            m = v.budgets({"density": density}, 18, 40).tolist()
            self.assertGreaterEqual(sum(m), 64)
            self.assertEqual(min(m), 1)
            if v.budget == "uniform":
                self.assertEqual((sum(m), max(m)), (64, 2))
            else:
                weights = [1 / (r + 2.7) for r in range(1, 41)]
                self.assertEqual(m[39], round(64 * weights[0] / math.fsum(weights)))
                self.assertGreaterEqual(m[39], m[0])


class SignSGD(torch.optim.Optimizer):
    def __init__(self, params: list[Tensor], lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad.sign())


class Optimizers(unittest.TestCase):
    def run_both(self, ours: Adam | SignumScheduleFree, theirs: object, p: torch.nn.Parameter) -> Tensors:
        params, generator = {"w": p.detach().clone()}, torch.Generator().manual_seed(1)
        for _ in range(7):
            g = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            p.grad = g.clone()
            theirs.step()  # type: ignore[attr-defined]
            ours.step(params, {"w": g})
            torch.testing.assert_close(params["w"], p.detach(), rtol=1e-12, atol=1e-12)
        return params

    def test_adam_is_torchs(self) -> None:
        for decay in (0.0, 0.1):
            p = torch.nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
            theirs = torch.optim.AdamW([p], 0.01, (0.8, 0.99), 1e-4, decay)
            self.run_both(Adam(0.01, 0.8, 0.99, 1e-4, decay), theirs, p)

    def test_schedule_free_is_schedulefrees(self) -> None:
        p = torch.nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
        theirs = ScheduleFreeWrapper(SignSGD([p], 0.01), momentum=0.95)
        theirs.train()
        ours = SignumScheduleFree(0.01, 0.95)
        params = self.run_both(ours, theirs, p)
        theirs.eval()
        torch.testing.assert_close(ours.averaged(params)["w"], p.detach(), rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    unittest.main()
