"""The variants that are sparse by a penalty."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from common import Outcome, Step, Tensors, Variant, decode, mean_square, moving_average


class Relu(Variant):
    """f = ReLU(z). sparsity = l1·w(t)·α·(1/B) Σ_b Σ_{l: f>0} (f·n_l)^p; form "bricken" without n_l.

    p = 1 unless p_end < 1 (arXiv 2408.00113): then p_0 = 1 and p_j = 1 + (p_end − 1)·j/p_updates from
    step s_j = ⌊T·(p_from + (p_until − p_from)·j/p_updates)⌋ on. So that the penalty does not jump,
    α ← α · mean S(old p) / mean S(new p) when p changes, over the last ten batches with the old p.
    State: `alpha` [1], `s_now` [≤10], `s_next` [≤10], oldest first, empty after a change of p and
    after the last."""

    def __init__(self, **keys: Any):
        super().__init__(**keys)
        self.unit = self.pre_bias = self.form == "bricken"

    def p_at(self, t: int, steps: int) -> float:
        p = 1.0
        for j in range(1, self.p_updates + 1):
            start = steps * (self.p_from + (self.p_until - self.p_from) * j / self.p_updates)
            assert abs(start - round(start)) > 1e-6, f"{start}: too close to a whole number"
            if t >= int(start):
                p = 1 + (self.p_end - 1) * j / self.p_updates
        return p

    def next_p(self, step: Step) -> float | None:
        """The exponent that comes after this step's, if one does."""
        now = self.p_at(step.t, step.steps)
        later = (self.p_at(t, step.steps) for t in range(step.t, step.steps + 1))
        return next((p for p in later if p != now), None)

    def alpha(self, state: Tensors, step: Step) -> Tensor:
        changes = step.t > 1 and self.p_at(step.t, step.steps) != self.p_at(step.t - 1, step.steps)
        if changes and len(state["s_now"]):
            return state["alpha"] * state["s_now"].mean() / state["s_next"].mean()
        return state["alpha"]

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z = self.pre_acts(p, step.x)
        step.decides(z, 0.0)
        f = z.relu()
        x_hat = decode(p, f)
        magnitudes = f if self.form == "bricken" else f * p["w_dec"].norm(dim=1)
        scale, exponent = self.l1 * step.warmup(self.l1_warmup), 1.0
        if self.p_end < 1:
            scale, exponent = scale * self.alpha(state, step), self.p_at(step.t, step.steps)
        sparsity = scale * power_sum(magnitudes, exponent)
        terms = {"reconstruction": mean_square(step.x, x_hat), "sparsity": sparsity}
        return Outcome(terms, f, x_hat, magnitudes.detach())

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        if self.p_end >= 1:
            return state
        now, coming = self.p_at(step.t, step.steps), self.next_p(step)
        changed = step.t > 1 and now != self.p_at(step.t - 1, step.steps)
        queues = {name: state[name][:0] if changed else state[name] for name in ("s_now", "s_next")}
        if coming is not None:
            for name, p in (("s_now", now), ("s_next", coming)):
                queues[name] = torch.cat([queues[name], power_sum(outcome.noted, p).reshape(1)])[-10:]
        return {"alpha": self.alpha(state, step), **queues}


def power_sum(f: Tensor, p: float) -> Tensor:
    """S(p) = (1/B) Σ_b Σ_{l: f>0} f^p."""
    return torch.where(f > 0, f, torch.ones_like(f)).pow(p).where(f > 0, torch.zeros_like(f)).sum(1).mean()


class Crosscoder(Variant):
    """x is the concatenation of the columns of M places, of the given widths; one code for all.

    sparsity = l1·w(t)·(1/B) ΣΣ f·Σ_m ‖W_dec,l[m]‖, the norm of each place's part of the row."""

    unit = pre_bias = False

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z = self.pre_acts(p, step.x)
        step.decides(z, 0.0)
        f = z.relu()
        x_hat = decode(p, f)
        norms = sum(part.norm(dim=1) for part in p["w_dec"].split(self.widths, 1))
        sparsity = self.l1 * step.warmup(self.l1_warmup) * (f * norms).sum(1).mean()
        return Outcome({"reconstruction": mean_square(step.x, x_hat), "sparsity": sparsity}, f, x_hat)


class Gated(Variant):
    """π = W_enc(x − b_dec) + b_enc; f = 1[π>0]·ReLU(exp(r_mag)·(π − b_enc) + b_mag); arXiv 2404.16014."""

    own = ("r_mag", "b_mag")

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        u = (step.x - p["b_dec"]) @ p["w_enc"].T  # π − b_enc
        gate, magnitude = u + p["b_enc"], p["r_mag"].exp() * u + p["b_mag"]
        step.decides(gate, 0.0)
        step.decides(magnitude, 0.0, gate > 0)
        f, open_gate = (gate > 0) * magnitude.relu(), gate.relu()
        x_hat = decode(p, f)
        through_gate = open_gate @ step.stop_gradient(p["w_dec"]) + step.stop_gradient(p["b_dec"])
        terms = {
            "reconstruction": mean_square(step.x, x_hat),
            "sparsity": self.l1 * step.warmup(self.l1_warmup) * open_gate.sum(1).mean(),
            "gate": mean_square(step.x, through_gate),
        }
        return Outcome(terms, f, x_hat)


def kernel(u: Tensor) -> Tensor:
    """K(u) = 1[|u| < 1/2]."""
    return (u.abs() < 0.5).to(u.dtype)


class Jump(torch.autograd.Function):
    """z·H(z − θ), with ∂/∂θ = −(θ/ε)K((z−θ)/ε) and ∂/∂z = H(z − θ), + (θ/ε)K if `to_input`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, bandwidth: float, to_input: bool) -> Tensor:
        ctx.save_for_backward(z, theta)
        ctx.bandwidth, ctx.to_input = bandwidth, to_input
        return z * (z > theta)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, theta = ctx.saved_tensors
        edge = theta / ctx.bandwidth * kernel((z - theta) / ctx.bandwidth)
        to_z = (z > theta).to(z.dtype) + (edge if ctx.to_input else 0)
        return grad * to_z, -(grad * edge).sum(0), None, None


class Heaviside(torch.autograd.Function):
    """H(z − θ), with ∂/∂θ = −(1/ε)K((z−θ)/ε) and ∂/∂z = 0."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(z, theta)
        ctx.bandwidth = bandwidth
        return (z > theta).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, theta = ctx.saved_tensors
        return None, -(grad * kernel((z - theta) / ctx.bandwidth) / ctx.bandwidth).sum(0), None


class JumpRelu(Variant):
    """f = z·H(z − θ), θ a parameter. Form "gemma" (arXiv 2407.14435) penalises L0, "anthropic" a tanh of f.

    State of l0_control = "coefficient": `multiplier` [1], 1 at first, and `l0` [1], absent at first."""

    own = ("threshold",)

    def __init__(self, **keys: Any):
        super().__init__(**keys)
        self.unit = self.pre_bias = self.form == "gemma"

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z, theta = self.pre_acts(p, step.x), p["threshold"]
        for cut in (-self.bandwidth / 2, 0, self.bandwidth / 2):
            step.decides(z, theta.detach() + cut)
        f = Jump.apply(z, theta, self.bandwidth, self.form == "anthropic")
        x_hat = decode(p, f)
        terms = {"reconstruction": mean_square(step.x, x_hat)}
        coefficient = self.l0_coefficient * step.warmup(self.l0_warmup)
        if self.form == "gemma":
            l0 = Heaviside.apply(z, theta, self.bandwidth).sum(1)
            terms["sparsity"] = coefficient * self.l0_penalty(l0, state)
        else:
            norms = p["w_dec"].norm(dim=1)
            terms["sparsity"] = coefficient * (self.tanh_scale * f * norms).tanh().sum(1).mean()
            pushed = list(range(len(theta))) if self.pre_act_on == "all" else step.dead
            if pushed:
                below = ((theta - z).relu() * norms)[:, pushed]
                terms["pre_act"] = self.pre_act_coefficient * below.sum(1).mean()
        return Outcome(terms, f, x_hat)

    def l0_penalty(self, l0: Tensor, state: Tensors) -> Tensor:
        if self.l0_control == "quadratic":
            return (l0.mean() / self.l0_target - 1).square()
        if self.l0_control == "quadratic_per_row":
            return (l0 / self.l0_target - 1).square().mean()
        return l0.mean() * (state["multiplier"][0] if self.l0_control == "coefficient" else 1)

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        if self.form != "gemma" or self.l0_control != "coefficient":
            return state
        l0 = (outcome.codes > 0).sum(1).to(outcome.codes.dtype).mean().reshape(1)
        average = moving_average(state.get("l0"), l0, 0.99)
        too_high = math.tanh(10 * (average.item() - self.l0_target) / self.l0_target)
        multiplier = (state["multiplier"] * math.exp(self.l0_gain * too_high)).clamp(1e-3, 1e3)
        return {"l0": average, "multiplier": multiplier}

    def project(self, p: Tensors) -> None:
        p["threshold"].clamp_(min=0)
