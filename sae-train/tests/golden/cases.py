"""The cases: which variant with which keys, at which step of a run of which length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from common import Tensors, Variant
from penalties import Crosscoder, Gated, JumpRelu, Relu
from selections import (
    BatchTopK,
    FeatureChoice,
    GradientTopK,
    KSparse,
    Matryoshka,
    MatryoshkaK,
    MutualChoice,
    SkipTranscoder,
    TopK,
    Transcoder,
)

D_IN, D_SAE, ROWS, STEPS = 12, 40, 18, 10  # STEPS: how many are recorded
DEAD = [3, 8, 9, 17, 25, 31, 38]

NAMES = {
    Relu: "relu",
    TopK: "topk",
    KSparse: "k_sparse",
    BatchTopK: "batch_topk",
    MutualChoice: "mutual_choice",
    FeatureChoice: "feature_choice",
    JumpRelu: "jump_relu",
    Gated: "gated",
    Matryoshka: "matryoshka",
    MatryoshkaK: "matryoshka_k",
    GradientTopK: "gradient_topk",
    Transcoder: "transcoder",
    SkipTranscoder: "skip_transcoder",
    Crosscoder: "crosscoder",
}
ADAM = {"name": "adam", "lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-4, "clip": 10.0}


@dataclass
class Case:
    make: type[Variant]
    keys: dict[str, Any]
    step: int = 1
    steps: int = 1000
    dead: list[int] = field(default_factory=list)
    optim: dict[str, Any] = field(default_factory=dict)
    state: Callable[[torch.Generator], Tensors] = lambda rng: {}
    d_out: int = D_IN
    widths: list[int] | None = None
    margin: float = 1e-4

    def variant(self) -> Variant:
        return self.make(**self.keys, **({"widths": self.widths} if self.widths else {}))

    def optimizer(self) -> dict[str, Any]:
        return ADAM | self.optim


def uniform(rng: torch.Generator, n: int, low: float, high: float) -> torch.Tensor:
    """Exact in f32."""
    return (low + (high - low) * torch.rand(n, generator=rng)).float().double()


def densities(rng: torch.Generator) -> torch.Tensor:
    """A third far too rare, three of them never."""
    density = uniform(rng, D_SAE, 0.03, 0.3)
    density[::3] = uniform(rng, len(density[::3]), 0.0, 0.02)
    density[[6, 12, 30]] = 0.0
    return density


def half_set(rng: torch.Generator) -> torch.Tensor:
    thresholds = uniform(rng, D_SAE, 0.3, 1.5)
    thresholds[::2] = torch.nan
    return thresholds


AUX = dict(k_aux=4, aux_coefficient=1 / 32)
TOPK = dict(k=5, **AUX, multi_topk=False, k_start=5, k_anneal=0.0)
THRESHOLD = dict(threshold_start=0.5, threshold_decay=0.99)
BATCH = dict(k=3.33, **AUX, **THRESHOLD)
CHOICE = BATCH | dict(k=3.56, zipf_exponent=1.0, zipf_shift=2.7, underused=0.5, density_decay=0.95)
FEATURE = CHOICE | dict(budget="uniform", mutual_until=0.4)
NOT_ANNEALED = dict(p_end=1.0, p_from=0.2, p_until=0.8, p_updates=10)
JUMP = dict(bandwidth=0.4, threshold_init=0.1, l0_warmup=0.25, l0_coefficient=0.2)
GEMMA = dict(form="gemma", **JUMP, l0_target=6.0, l0_control="none", l0_gain=0.01)
ANTHROPIC = dict(form="anthropic", **JUMP, tanh_scale=4.0, pre_act_coefficient=0.03, pre_act_on="dead")
NESTED = dict(prefixes=[4, 9, 20, 40], weights=[1.0, 1.0, 1.0, 1.0], sampled=0, detached=False)
NESTED_K = dict(k=3, levels=[3, 6, 12, 24], weighting="uniform", loss="mse")
GRADIENT = dict(k=5, beta=1.0, gradient_norm="batch_mean", **AUX)
ANNEALED = dict(p_end=0.5, p_from=0.2, p_until=0.8)


def queue(n: int) -> Callable[[torch.Generator], Tensors]:
    return lambda rng: {
        "alpha": uniform(rng, 1, 0.8, 1.0),
        "s_now": uniform(rng, n, 10, 11),
        "s_next": uniform(rng, n, 12, 13),
    }


CASES = {
    "relu_april": Case(Relu, dict(form="april", l1=0.4, l1_warmup=0.05, **NOT_ANNEALED), 44),
    "relu_bricken": Case(Relu, dict(form="bricken", l1=0.4, l1_warmup=0.0, **NOT_ANNEALED), optim={"clip": 1.0}),
    # p changes at 23 and 37 of 47: the queue of ten overflows at 34, and no p comes after the second
    "relu_p_anneal": Case(
        Relu,
        dict(form="april", l1=0.2, l1_warmup=0.9, **ANNEALED, p_updates=2),
        30,
        47,
        state=queue(7),
        margin=1e-2,
    ),
    # p changes at 19, 23 and 27 of 47
    "relu_p_anneal_bricken": Case(
        Relu,
        dict(form="bricken", l1=0.2, l1_warmup=0.05, **ANNEALED, p_updates=8),
        20,
        47,
        state=queue(1),
        margin=1e-2,
    ),
    "topk": Case(TopK, TOPK),
    "topk_adamw": Case(TopK, TOPK, optim={"name": "adamw", "weight_decay": 0.1, "clip": 1.0}),
    "topk_signum_schedule_free": Case(
        TopK, TOPK, optim={"name": "signum_schedule_free", "lr": 0.003, "beta1": 0.95, "beta2": 0.0}
    ),
    "topk_multi": Case(TopK, TOPK | dict(multi_topk=True)),
    "topk_k_anneal": Case(TopK, TOPK | dict(k_start=12, k_anneal=0.5), 15, 46),
    "topk_aux": Case(TopK, TOPK | dict(k_aux=4, aux_coefficient=0.5), dead=DEAD),
    "topk_aux_few": Case(TopK, TOPK, dead=[5, 20], optim={"beta1": 0.0, "clip": 1.0}),
    "k_sparse": Case(KSparse, dict(k=5, k_start=12, k_anneal=0.5, alpha=1.0), 15, 46),
    "batch_topk": Case(BatchTopK, BATCH, 6, 21, DEAD),  # the threshold starts at 11
    "batch_topk_threshold": Case(
        BatchTopK, BATCH | dict(threshold_decay=0.9), 16, 30, state=lambda rng: {"threshold": uniform(rng, 1, 1, 1.2)}
    ),
    "mutual_choice": Case(MutualChoice, CHOICE, 1, 13, [3, 8]),  # no density before the first batch
    "mutual_choice_underused": Case(
        MutualChoice, CHOICE | dict(aux_coefficient=0.5), 21, 41, [3, 8], state=lambda rng: {"density": densities(rng)}
    ),
    # from mutual to feature choice at 13, thresholds from 16
    "feature_choice_uniform": Case(
        FeatureChoice, FEATURE, 9, 31, [3, 8], state=lambda rng: {"density": densities(rng)}
    ),
    "feature_choice_zipf": Case(
        FeatureChoice,
        FEATURE | dict(budget="zipf", threshold_decay=0.9),
        18,
        31,
        state=lambda rng: {"density": densities(rng), "threshold": half_set(rng)},
    ),
    "jump_relu_gemma": Case(JumpRelu, GEMMA, 5, 50, optim={"beta1": 0.0}),
    "jump_relu_gemma_quadratic": Case(JumpRelu, GEMMA | dict(l0_control="quadratic"), 50, 100),
    "jump_relu_gemma_quadratic_per_row": Case(JumpRelu, GEMMA | dict(l0_control="quadratic_per_row"), 50, 100),
    "jump_relu_gemma_coefficient": Case(
        JumpRelu,
        GEMMA | dict(l0_control="coefficient", l0_gain=0.1),
        50,
        100,
        state=lambda rng: {"multiplier": torch.ones(1, dtype=torch.float64)},
    ),
    "jump_relu_anthropic": Case(JumpRelu, ANTHROPIC, 5, 50, DEAD),
    "jump_relu_anthropic_all": Case(JumpRelu, ANTHROPIC | dict(pre_act_on="all"), 50, 100),
    "gated": Case(Gated, dict(l1=0.3, l1_warmup=0.05), 44, optim={"beta1": 0.0}),
    "matryoshka": Case(Matryoshka, BATCH | NESTED, 6, 21),
    "matryoshka_weighted": Case(Matryoshka, BATCH | NESTED | dict(weights=[0.25, 2.0, 0.5, 1.5]), dead=DEAD),
    "matryoshka_detached": Case(Matryoshka, BATCH | NESTED | dict(detached=True), dead=DEAD),
    "matryoshka_k": Case(MatryoshkaK, NESTED_K),
    "matryoshka_k_reverse": Case(MatryoshkaK, NESTED_K | dict(k=5, levels=[5, 10, 20, 40], weighting="reverse")),
    "matryoshka_k_nmse": Case(MatryoshkaK, NESTED_K | dict(loss="nmse")),
    "gradient_topk": Case(GradientTopK, GRADIENT, dead=DEAD),
    "gradient_topk_none": Case(GradientTopK, GRADIENT | dict(beta=0.5, gradient_norm="none")),
    "transcoder": Case(Transcoder, BATCH, 6, 21, DEAD, d_out=9),
    "skip_transcoder": Case(SkipTranscoder, BATCH, 6, 21, DEAD, d_out=9),
    "crosscoder": Case(Crosscoder, dict(l1=0.2, l1_warmup=0.05), 44, widths=[5, 7]),
}
