"""One step of training, and the optimizers.

forward → backward → [unit rows: take from each row of dW_dec its part along W_dec,l] → scale all
gradients together to norm `clip` if they exceed it → optimizer → [unit rows: rows of W_dec back to
length 1] → project (θ ≥ 0) → state of the variant.

Adam, AdamW (arXiv 1412.6980, 1711.05101), t from 1, matrices only for the decay:

    m ← β1 m + (1−β1) g    v ← β2 v + (1−β2) g²
    p ← p − lr·( (m/(1−β1^t)) / (√(v/(1−β2^t)) + eps) + weight_decay·p )

signum_schedule_free (arXiv 1802.04434 in arXiv 2405.15682), β = beta1; gradients are taken at y, which
is what `params` holds, z is kept, x follows from both, and t counts from 1:

    z_0 = y_0
    x_{t−1} = (y_{t−1} − (1−β)·z_{t−1}) / β
    z_t = z_{t−1} − lr_t · sign(g_t)                        sign(0) = 0; no momentum besides β
    c_t = w_t / Σ_{s≤t} w_s      w_t = (max_{s≤t} lr_s)²    1/t while lr is constant
    x_t = (1−c_t)·x_{t−1} + c_t·z_t
    y_t = β·x_t + (1−β)·z_t

and then the rows of W_dec's y_t are brought to length 1; z is not, so x_t as used in the next step moves
along with y_t. x, with its rows at length 1, is what is evaluated and saved.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from common import Outcome, Step, Tensors, TooClose, Variant


class Adam:
    def __init__(self, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0):
        self.lr, self.betas, self.eps, self.weight_decay = lr, (beta1, beta2), eps, weight_decay
        self.t, self.moments = 0, {}

    def step(self, params: Tensors, grads: Tensors) -> None:
        self.t += 1
        b1, b2 = self.betas
        for name, g in grads.items():
            m, v = self.moments.get(name, (torch.zeros_like(g), torch.zeros_like(g)))
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            self.moments[name] = m, v
            change = m / (1 - b1**self.t) / ((v / (1 - b2**self.t)).sqrt() + self.eps)
            if params[name].ndim == 2:
                change = change + self.weight_decay * params[name]
            params[name] = params[name] - self.lr * change


class SignumScheduleFree:
    def __init__(self, lr: float, beta1: float):
        self.lr, self.beta = lr, beta1
        self.t, self.z, self.weights = 0, {}, 0.0

    def averaged(self, params: Tensors) -> Tensors:
        """x."""
        return {name: (y - (1 - self.beta) * self.z.get(name, y)) / self.beta for name, y in params.items()}

    def step(self, params: Tensors, grads: Tensors) -> None:
        x = self.averaged(params)
        self.weights += self.lr**2
        c = self.lr**2 / self.weights
        for name, g in grads.items():
            if ((g != 0) & (g.abs() < 1e-5 * g.abs().max())).any():
                raise TooClose("the sign of a gradient")
            z = self.z.get(name, params[name]) - self.lr * g.sign()
            self.z[name] = z
            params[name] = self.beta * ((1 - c) * x[name] + c * z) + (1 - self.beta) * z


def optimizer(name: str, clip: float, **keys: float) -> Adam | SignumScheduleFree:
    return SignumScheduleFree(**keys) if name == "signum_schedule_free" else Adam(**keys)


def unit_rows(w: Tensor) -> Tensor:
    return w / w.norm(dim=1, keepdim=True)


def run_forward(v: Variant, params: Tensors, state: Tensors, step: Step) -> tuple[Outcome, Tensors]:
    """The outcome, and the gradients of the loss; parameters the loss does not reach have none."""
    tracked = {name: p.clone().requires_grad_() for name, p in params.items()}
    outcome = v.forward(tracked, state, step)
    grads = torch.autograd.grad(outcome.loss, list(tracked.values()), allow_unused=True)
    return outcome, {name: g for name, g in zip(tracked, grads) if g is not None}


def run_step(v: Variant, params: Tensors, state: Tensors, step: Step, optim: Any, clip: float) -> Tensors:
    """Changes `params` and `optim`, gives the new state."""
    outcome, grads = run_forward(v, params, state, step)
    return finish_step(v, params, state, step, optim, clip, outcome, grads)


def finish_step(
    v: Variant,
    params: Tensors,
    state: Tensors,
    step: Step,
    optim: Any,
    clip: float,
    outcome: Outcome,
    grads: Tensors,
) -> Tensors:
    grads = dict(grads)
    if v.unit:
        g, w = grads["w_dec"], params["w_dec"]
        grads["w_dec"] = g - (g * w).sum(1, keepdim=True) * w
    norm = torch.stack([g.square().sum() for g in grads.values()]).sum().sqrt()
    if norm > clip:
        grads = {name: g * (clip / norm) for name, g in grads.items()}
    optim.step(params, grads)
    if v.unit:
        params["w_dec"] = unit_rows(params["w_dec"])
    v.project(params)
    with torch.no_grad():
        return v.update(state, step, outcome)
