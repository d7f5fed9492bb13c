"""What the variants share. Dense, in whatever dtype the tensors have; B rows, d columns, F latents.

W_enc [F, d], W_dec [F, d_out]: one latent per row. n_l = ‖W_dec,l‖. A term of the loss is a sum over
columns and a mean over rows: (1/B) Σ_b ‖x_b − x̂_b‖².
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class TooClose(Exception):
    """A decision that does not depend on single rows is too close: another seed is needed."""


@dataclass
class Step:
    """What a variant may know in one step, and what it notes: how close its decisions were.

    margin [B] is, per row, the smallest distance of a pre-activation from where a decision would turn
    (a cut between chosen and not chosen, a threshold, the edge of a kernel), relative to the row's
    largest pre-activation. A margin far above f32's rounding means that f32 decides the same.
    """

    x: Tensor
    t: int  # from 1
    steps: int  # T, of the whole run
    dead: list[int] = field(default_factory=list)
    target: Tensor | None = None
    gradient: Tensor | None = None
    margin: Tensor = None  # type: ignore[assignment]
    # Set by tests: what stop_gradient gives instead of its argument, in the order of the calls.
    frozen: list[Tensor] | None = None
    stopped: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.margin = torch.full((len(self.x),), torch.inf, dtype=self.x.dtype)

    def stop_gradient(self, tensor: Tensor) -> Tensor:
        self.stopped.append(tensor.detach().clone())
        return self.frozen[len(self.stopped) - 1] if self.frozen else tensor.detach()

    def decides(self, z: Tensor, cut: Tensor | float, where: Tensor | None = None) -> None:
        """Notes that it matters on which side of `cut` each of z [B, F] is (only `where`, if given)."""
        z = z.detach()
        distance = (z - cut).abs() / z.abs().amax(1, keepdim=True)
        if where is not None:
            distance = distance.masked_fill(~where, torch.inf)
        self.margin = torch.minimum(self.margin, distance.amin(1))

    def warmup(self, fraction: float) -> float:
        """w(t) = min(t / ⌊fraction·T⌋, 1)."""
        length = int(fraction * self.steps)
        return min(self.t / length, 1.0) if length else 1.0


@dataclass
class Outcome:
    terms: Tensors  # with their coefficients; the loss is their sum
    codes: Tensor  # [B, F]
    reconstruction: Tensor  # [B, d_out]
    noted: Tensor | None = None  # whatever the variant's update needs

    @property
    def loss(self) -> Tensor:
        return sum(self.terms.values())


class Variant:
    """forward gives the loss, update the state after the step; both leave their arguments alone."""

    unit = True  # rows of W_dec are kept at length 1
    pre_bias = True  # the encoder sees x − b_dec
    own: tuple[str, ...] = ()  # parameters beyond the four

    def __init__(self, **keys: Any):
        self.keys = keys

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["keys"][name]
        except KeyError:
            raise AttributeError(name) from None

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        raise NotImplementedError

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        return state

    def project(self, p: Tensors) -> None:
        """Brings the parameters back to where they are allowed to be, after the optimizer."""

    def centred(self, p: Tensors, x: Tensor) -> Tensor:
        return x - p["b_dec"] if self.pre_bias else x

    def pre_acts(self, p: Tensors, x: Tensor) -> Tensor:
        return self.centred(p, x) @ p["w_enc"].T + p["b_enc"]


def decode(p: Tensors, f: Tensor) -> Tensor:
    return f @ p["w_dec"] + p["b_dec"]


def mean_square(target: Tensor, reconstruction: Tensor) -> Tensor:
    return (target - reconstruction).square().sum(1).mean()


def keep(mask: Tensor, z: Tensor) -> Tensor:
    """ReLU(z) where mask, else 0."""
    return torch.where(mask, z, torch.zeros_like(z)).relu()


def largest(z: Tensor, k: int, step: Step) -> Tensor:
    """Which [B, F] are among the k largest of their row."""
    if k >= z.shape[1]:
        return torch.ones_like(z, dtype=torch.bool)
    order = z.detach().sort(1, descending=True).values
    cut = (order[:, k - 1 : k] + order[:, k : k + 1]) / 2
    step.decides(z, cut)
    return z > cut


def top_k(z: Tensor, k: int, step: Step) -> Tensor:
    """ReLU(TopK_k(z))."""
    mask = largest(z, k, step)
    step.decides(z, 0.0, mask)
    return keep(mask, z)


def largest_of_batch(z: Tensor, n: int, step: Step) -> Tensor:
    """Which are positive and among the n largest of the whole [B, F]."""
    order = z.detach().flatten().sort(descending=True).values
    cut = ((order[n - 1] + order[n]) / 2).clamp(min=0)
    step.decides(z, cut)
    return z > cut


def aux(v: Variant, p: Tensors, e: Tensor, members: list[int], step: Step) -> Tensors:
    """The latents `members` reconstruct what the others left: Σ‖e − ê‖² / Σ‖e − mean_b e‖².

    ê = Σ value · W_dec, without b_dec, of the min(k_aux, |members|) largest of them per row."""
    if not members:
        return {}
    e = step.stop_gradient(e)
    z = v.centred(p, step.x) @ p["w_enc"][members].T + p["b_enc"][members]
    f = top_k(z, min(v.k_aux, len(members)), step)
    variance = (e - e.mean(0)).square().sum()
    return {"aux": v.aux_coefficient * (e - f @ p["w_dec"][members]).square().sum() / variance}


def round_half_up(value: float) -> int:
    """Of positive numbers. Refuses what another order of rounding could decide otherwise."""
    assert abs(value % 1 - 0.5) > 1e-6, f"{value}: too close to a half"
    return int(value + 0.5)


def moving_average(old: Tensor | None, new: Tensor, decay: float) -> Tensor:
    """The first value is assigned."""
    return new if old is None else decay * old + (1 - decay) * new
