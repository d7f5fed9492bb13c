#!/usr/bin/env python3
"""Write optimizers.safetensors: eight steps of each optimizer on a matrix and a vector, in float64.

SGD, RMSprop, Adagrad and AdamW are torch's; the others follow the equations of their papers, in plain tensor code.
Weight decay is for the matrix alone. Inputs are exact in f32.

python make_optimizers.py        (torch 2.15.0, safetensors 0.8.0)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

LR, STEPS = 0.01, 8
Step = Callable[[Tensor, Tensor], Tensor]


def of_torch(kind: type[torch.optim.Optimizer], **keys: float) -> Callable[[Tensor], Step]:
    def make(start: Tensor) -> Step:
        p = start.clone().requires_grad_()
        decay = {} if p.ndim == 2 else {"weight_decay": 0.0}
        optimizer = kind([p], lr=LR, **(keys | decay))

        def step(_: Tensor, g: Tensor) -> Tensor:
            p.grad = g
            optimizer.step()
            return p.detach().clone()

        return step

    return make


def lion(beta1: float, beta2: float, weight_decay: float) -> Callable[[Tensor], Step]:
    def make(start: Tensor) -> Step:
        m, decay = torch.zeros_like(start), weight_decay if start.ndim == 2 else 0.0

        def step(p: Tensor, g: Tensor) -> Tensor:
            nonlocal m
            mixed, m = beta1 * m + (1 - beta1) * g, beta2 * m + (1 - beta2) * g
            assert mixed.abs().min() > 1e-5, "the sign is too close"
            return p - LR * (mixed.sign() + decay * p)

        return step

    return make


def lamb(beta1: float, beta2: float, eps: float, weight_decay: float) -> Callable[[Tensor], Step]:
    def make(start: Tensor) -> Step:
        m = v = torch.zeros_like(start)
        t, decay = 0, weight_decay if start.ndim == 2 else 0.0

        def step(p: Tensor, g: Tensor) -> Tensor:
            nonlocal m, v, t
            m, v, t = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2, t + 1
            u = m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps) + decay * p
            return p - LR * p.norm() / u.norm() * u

        return step

    return make


def adan(beta1: float, beta2: float, beta3: float, eps: float, weight_decay: float) -> Callable[[Tensor], Step]:
    def make(start: Tensor) -> Step:
        m = n = v = torch.zeros_like(start)
        t, last, decay = 0, None, weight_decay if start.ndim == 2 else 0.0

        def step(p: Tensor, g: Tensor) -> Tensor:
            nonlocal m, n, v, t, last
            d = g - (g if last is None else last)
            m, n = beta1 * m + (1 - beta1) * g, beta2 * n + (1 - beta2) * d
            v, t, last = beta3 * v + (1 - beta3) * (g + beta2 * d) ** 2, t + 1, g
            u = (m / (1 - beta1**t) + beta2 * n / (1 - beta2**t)) / ((v / (1 - beta3**t)).sqrt() + eps)
            return (p - LR * u) / (1 + LR * decay)

        return step

    return make


def adafactor(
    decay_power: float, clip_threshold: float, scale_parameter: bool, eps: float, weight_decay: float
) -> Callable[[Tensor], Step]:
    def rms(a: Tensor) -> Tensor:
        return a.square().mean().sqrt()

    def make(start: Tensor) -> Step:
        t, row, column, whole = 0, 0.0, 0.0, 0.0
        decay = weight_decay if start.ndim == 2 else 0.0

        def step(p: Tensor, g: Tensor) -> Tensor:
            nonlocal t, row, column, whole
            t += 1
            beta, squares = 1 - t**-decay_power, g**2 + eps
            whole = beta * whole + (1 - beta) * squares
            v = whole
            if p.ndim == 2:
                row = beta * row + (1 - beta) * squares.mean(1)
                column = beta * column + (1 - beta) * squares.mean(0)
                v = torch.outer(row, column) / row.mean()
            u = g / v.sqrt()
            u = u / max(1.0, rms(u) / clip_threshold)
            scale = max(1e-3, rms(p)) if scale_parameter else 1.0
            return p - LR * (scale * u + decay * p)

        return step

    return make


def muon(momentum: float, nesterov: bool, iterations: int, weight_decay: float, **adam: float) -> Callable[[Tensor], Step]:
    a, b, c = 3.4445, -4.775, 2.0315

    def make(start: Tensor) -> Step:
        if start.ndim == 1:
            return of_torch(torch.optim.Adam, betas=(adam["beta1"], adam["beta2"]), eps=adam["eps"])(start)
        buffer = None

        def step(p: Tensor, g: Tensor) -> Tensor:
            nonlocal buffer
            buffer = g if buffer is None else momentum * buffer + g
            u = g + momentum * buffer if nesterov else buffer
            x = u / u.norm()
            for _ in range(iterations):
                gram = x @ x.T
                x = a * x + (b * gram + c * gram @ gram) @ x
            return p - LR * (0.2 * max(p.shape) ** 0.5 * x + weight_decay * p)

        return step

    return make


def adamw(beta1: float, beta2: float, eps: float, weight_decay: float) -> Callable[[Tensor], Step]:
    return of_torch(torch.optim.AdamW, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)


SGD, RMSPROP, ADAGRAD = torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad
CASES: list[tuple[str, Callable[..., Callable[[Tensor], Step]], dict[str, float]]] = [
    ("sgd", lambda **k: of_torch(SGD, **k), dict(momentum=0.9, nesterov=False, weight_decay=0.1)),
    ("sgd", lambda **k: of_torch(SGD, **k), dict(momentum=0.8, nesterov=True, weight_decay=0.0)),
    ("sgd", lambda **k: of_torch(SGD, **k), dict(momentum=0.0, nesterov=False, weight_decay=0.0)),
    ("rmsprop", lambda **k: of_torch(RMSPROP, **k), dict(alpha=0.9, momentum=0.5, eps=1e-4, weight_decay=0.1)),
    ("adagrad", lambda **k: of_torch(ADAGRAD, **k), dict(lr_decay=0.1, eps=1e-6, weight_decay=0.1)),
    ("adamw", adamw, dict(beta1=0.9, beta2=0.99, eps=1e-6, weight_decay=0.3)),
    ("lion", lion, dict(beta1=0.9, beta2=0.97, weight_decay=0.3)),
    ("lamb", lamb, dict(beta1=0.9, beta2=0.99, eps=1e-6, weight_decay=0.3)),
    ("adan", adan, dict(beta1=0.95, beta2=0.9, beta3=0.98, eps=1e-6, weight_decay=0.3)),
    ("adafactor", adafactor, dict(decay_power=0.8, clip_threshold=0.9, scale_parameter=False, eps=1e-20, weight_decay=0.3)),
    ("adafactor", adafactor, dict(decay_power=0.7, clip_threshold=1.0, scale_parameter=True, eps=1e-20, weight_decay=0.0)),
    (
        "muon",
        muon,
        dict(momentum=0.9, nesterov=True, iterations=5, weight_decay=0.3, beta1=0.9, beta2=0.99, eps=1e-6),
    ),
]


def exact(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng).float().double()


def main() -> None:
    rng = torch.Generator().manual_seed(3)
    tensors = {
        "matrix": exact(rng, 7, 4),
        "vector": exact(rng, 7),
        "matrix_grads": exact(rng, STEPS, 7, 4),
        "vector_grads": exact(rng, STEPS, 7),
    }
    for i, (_, make, keys) in enumerate(CASES):
        for weight in "matrix", "vector":
            p, step = tensors[weight].clone(), make(**keys)(tensors[weight])
            for g in tensors[f"{weight}_grads"]:
                p = step(p, g)
            tensors[f"{i}.{weight}"] = p
    about = {"lr": LR, "cases": [{"name": name, **keys} for name, _, keys in CASES]}
    path = Path(__file__).with_name("optimizers.safetensors")
    save_file(tensors, path, {key: json.dumps(value) for key, value in about.items()})
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
