#!/usr/bin/env python3
"""Write one file CASE.safetensors per case of cases.py; README.md says what is in them.

make_golden.py [CASE ...]
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cases import CASES, D_IN, D_SAE, NAMES, ROWS, STEPS, Case
from common import Outcome, Step, Tensors, TooClose, Variant
from training import finish_step, optimizer, run_forward, unit_rows

TRIES = 200


def randn(rng: torch.Generator, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Exact in f32, like everything that goes into a case."""
    return (shift + scale * torch.randn(*shape, generator=rng)).float().double()


def draw_params(v: Variant, d_out: int, rng: torch.Generator) -> Tensors:
    w_dec = unit_rows(torch.randn(D_SAE, d_out, generator=rng, dtype=torch.float64))
    if not v.unit:
        w_dec = w_dec * (0.3 + torch.rand(D_SAE, 1, generator=rng))
    w_enc = w_dec if d_out == D_IN else unit_rows(torch.randn(D_SAE, D_IN, generator=rng, dtype=torch.float64))
    own = {
        "threshold": lambda: (0.1 + 0.6 * torch.rand(D_SAE, generator=rng)).double(),
        "r_mag": lambda: randn(rng, D_SAE, scale=0.3),
        "b_mag": lambda: randn(rng, D_SAE, scale=0.3),
        "w_skip": lambda: randn(rng, d_out, D_IN, scale=0.3),
    }
    params = {
        "w_enc": (w_enc + randn(rng, D_SAE, D_IN, scale=0.1)).float().double(),
        "b_enc": randn(rng, D_SAE, scale=0.1),
        "w_dec": w_dec.float().double(),
        "b_dec": randn(rng, d_out, scale=0.2),
        **{name: own[name]() for name in v.own},
    }
    return params | ({"w_dec": params["w_enc"].clone()} if NAMES[type(v)] == "k_sparse" else {})


class Data:
    """Rows as sums of a few directions, with an offset: not white, not centred."""

    def __init__(self, case: Case, rng: torch.Generator):
        self.case, self.rng = case, rng
        self.directions = torch.randn(16, D_IN, generator=rng) * (0.4 + torch.rand(16, 1, generator=rng))
        self.mean = 0.3 * torch.randn(D_IN, generator=rng)
        self.to_target = torch.randn(D_IN, case.d_out, generator=rng) / D_IN**0.5

    def rows(self, n: int) -> Tensors:
        of = torch.rand(n, 16, generator=self.rng) * (torch.rand(n, 16, generator=self.rng) < 0.3)
        noise = 0.2 * torch.randn(n, D_IN, generator=self.rng)
        batch = {"x": self.mean + 0.7 * of @ self.directions + noise}
        name = NAMES[self.case.make]
        if name.endswith("transcoder"):
            noise = 0.1 * torch.randn(n, self.case.d_out, generator=self.rng)
            batch["target"] = (batch["x"] @ self.to_target).relu() * 1.5 + noise
        if name == "gradient_topk":
            norms = 0.5 + torch.rand(n, 1, generator=self.rng)
            batch["gradient"] = norms * torch.randn(n, D_IN, generator=self.rng)
        return {name: tensor.float().double() for name, tensor in batch.items()}


def settle(v: Variant, params: Tensors, state: Tensors, case: Case, t: int, data: Data) -> tuple[Step, Any]:
    """A batch whose decisions are all clear: rows with a close one are drawn again."""
    batch = data.rows(ROWS)
    for _ in range(TRIES):
        step = Step(**batch, t=t, steps=case.steps, dead=case.dead)
        outcome, grads = run_forward(v, params, state, step)
        close = step.margin < case.margin
        if not close.any():
            return step, (outcome, grads)
        for name, rows in data.rows(int(close.sum())).items():
            batch[name][close] = rows
    raise TooClose("the rows")


def tensors_of(case: Case, seed: int) -> Tensors:
    rng = torch.Generator().manual_seed(seed)
    v, optim = case.variant(), case.optimizer()
    params, state, data = draw_params(v, case.d_out, rng), case.state(rng), Data(case, rng)
    tensors = {f"param.{name}": p for name, p in params.items()}
    tensors |= {f"state.{name}": s for name, s in state.items()}
    keys = {k: x for k, x in optim.items() if k not in ("name", "clip")}
    if optim["name"] == "signum_schedule_free":
        keys = {k: keys[k] for k in ("lr", "beta1")}
    stepper, batches = optimizer(optim["name"], optim["clip"], **keys), []
    for i in range(STEPS):
        step, (outcome, grads) = settle(v, params, state, case, case.step + i, data)
        batches.append(step)
        if i == 0:
            tensors |= first_step(outcome, grads)
        state = finish_step(v, params, state, step, stepper, optim["clip"], outcome, grads)
    reached = {name: p for name, p in params.items() if f"grad.{name}" in tensors}
    tensors |= {f"after.{name}": p for name, p in reached.items()}
    tensors |= {f"after_state.{name}": s for name, s in state.items()}
    if optim["name"] == "signum_schedule_free":
        averaged = stepper.averaged(params)
        averaged["w_dec"] = unit_rows(averaged["w_dec"]) if v.unit else averaged["w_dec"]
        tensors |= {f"averaged.{name}": x for name, x in averaged.items()}
    for name in ("x", "target", "gradient"):
        if getattr(batches[0], name) is not None:
            tensors[name] = torch.stack([getattr(b, name) for b in batches])
    return tensors


def first_step(outcome: Outcome, grads: Tensors) -> Tensors:
    return {
        "codes": outcome.codes,
        "reconstruction": outcome.reconstruction,
        **{f"term.{name}": term.reshape(1) for name, term in outcome.terms.items()},
        **{f"grad.{name}": g for name, g in grads.items()},
    }


def toml(case: Case) -> str:
    """The keys of [variant]; JSON's strings, numbers, booleans and lists are TOML's."""
    keys = {"name": NAMES[case.make], **case.keys}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def safetensors_bytes(tensors: Tensors, about: dict[str, str]) -> bytes:
    """Made here because the library's writer puts the metadata in another order every time."""
    arrays = {k: t.contiguous().numpy() for k, t in sorted(tensors.items(), key=lambda kt: (-kt[1].itemsize, kt[0]))}
    header, end = {"__metadata__": about}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": f"F{8 * a.itemsize}", "shape": a.shape, "data_offsets": [end, end + a.nbytes]}
        end += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in arrays.values())


def make(name: str, case: Case, folder: Path) -> None:
    for seed in count(1):
        try:
            tensors = tensors_of(case, seed)
            break
        except TooClose as e:
            print(f"{name}: seed {seed} is too close to a decision ({e}), trying the next")
    is_state = ("state.", "after_state.")
    stored = {k: t.detach().double() if k.startswith(is_state) else t.detach().float() for k, t in tensors.items()}
    about = {"variant": toml(case), "step": str(case.step), "steps": str(case.steps)}
    about |= {"optim": json.dumps(case.optimizer()), "dead": json.dumps(case.dead), "seed": str(seed)}
    about |= {"widths": json.dumps(case.widths)} if case.widths else {}
    path = folder / f"{name}.safetensors"
    path.write_bytes(safetensors_bytes(stored, about))
    l0 = float((stored["codes"] != 0).sum() / ROWS)
    terms = {k[5:]: round(float(t), 4) for k, t in stored.items() if k.startswith("term.")}
    print(f"{name}: {path.stat().st_size / 1000:.1f} kB, seed {seed}, l0 {l0:.2f}, {terms}")


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in CASES]:
        sys.exit(f"error: {unknown[0]}: expected a case, one of {', '.join(CASES)}")
    torch.set_num_threads(1)  # the order of sums, hence the last bit, is the same everywhere
    for name in names or CASES:
        make(name, CASES[name], Path(__file__).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
