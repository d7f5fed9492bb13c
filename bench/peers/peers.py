"""Training steps of other libraries, each through its own trainer, with its own defaults.

A peer is a function of (method, Shape) that returns `step(i, x)`: one whole training step, which is forward,
losses, backward, clipping, optimizer, normalised decoder and counts of dead latents, on a batch `x`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn import functional as F

# The run that a step is part of: long enough that no schedule ends in it.
STEPS = 100_000
# Nested dictionaries, as fractions of the width.
LEVELS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)

Step = Callable[[int, torch.Tensor], object]


@dataclass(frozen=True)
class Shape:
    d_in: int
    d_sae: int
    k: int
    batch: int


def saelens(method: str, shape: Shape) -> Step:
    """`SAETrainer.step`."""
    from sae_lens import saes
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    sizes = {"d_in": shape.d_in, "d_sae": shape.d_sae}
    match method:
        case "topk":
            sae = saes.TopKTrainingSAE(saes.TopKTrainingSAEConfig(k=shape.k, **sizes))
        case "batch_topk":
            sae = saes.BatchTopKTrainingSAE(saes.BatchTopKTrainingSAEConfig(k=shape.k, **sizes))
        case "matryoshka":
            widths = [int(level * shape.d_sae) for level in LEVELS]
            config = saes.MatryoshkaBatchTopKTrainingSAEConfig(k=shape.k, matryoshka_widths=widths, **sizes)
            sae = saes.MatryoshkaBatchTopKTrainingSAE(config)
        case "jump_relu":
            sae = saes.JumpReLUTrainingSAE(saes.JumpReLUTrainingSAEConfig(**sizes))
    config = SAETrainerConfig(
        total_training_samples=STEPS * shape.batch,
        train_batch_size_samples=shape.batch,
        device="cpu",
        lr=3e-4,
        lr_end=3e-5,
        lr_warm_up_steps=0,
        lr_decay_steps=0,
    )
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter(()))

    def step(_: int, x: torch.Tensor) -> None:
        trainer.step(x)
        trainer.n_training_steps += 1

    return step


def dictionary_learning(method: str, shape: Shape) -> Step:
    """The trainers' `update`."""
    from dictionary_learning.trainers import batch_top_k, jumprelu, matryoshka_batch_top_k, top_k

    common = {
        "steps": STEPS,
        "activation_dim": shape.d_in,
        "dict_size": shape.d_sae,
        "layer": 0,
        "lm_name": "",
        "device": "cpu",
    }
    match method:
        case "topk":
            trainer = top_k.TopKTrainer(k=shape.k, **common)
        case "batch_topk":
            trainer = batch_top_k.BatchTopKTrainer(k=shape.k, **common)
        case "matryoshka":
            groups = [high - low for low, high in pairwise((0, *LEVELS))]
            trainer = matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer(k=shape.k, group_fractions=groups, **common)
        case "jump_relu":
            trainer = jumprelu.JumpReluTrainer(target_l0=float(shape.k), **common)
    return trainer.update


def sparsify(_: str, shape: Shape) -> Step:
    """`SparseCoder` in the order of sparsify's `Trainer`, which itself takes activations from a
    transformer only: unit rows, forward, backward, projection, its default optimizer, counts of dead latents."""
    # Its other decoder is for GPUs.
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    from schedulefree import ScheduleFreeWrapper
    from sparsify import SparseCoder, SparseCoderConfig
    from sparsify.sign_sgd import SignSGD

    torch.set_float32_matmul_precision("high")
    config = SparseCoderConfig(num_latents=shape.d_sae, k=shape.k)
    coder = SparseCoder(shape.d_in, config, device="cpu", dtype=torch.float32)
    lr = 5e-3 / (shape.d_sae / 2**14) ** 0.5
    optimizer = ScheduleFreeWrapper(SignSGD([{"params": coder.parameters(), "lr": lr}]), momentum=0.95)
    optimizer.train()
    since_fired = torch.zeros(shape.d_sae, dtype=torch.long)

    def step(i: int, x: torch.Tensor) -> None:
        if i == 0:
            coder.b_dec.data = x.mean(0)
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x=x, y=x, total_variance=(x - x.mean(0)).pow(2).sum())
        out.fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        since_fired.add_(len(x))
        since_fired[out.latent_indices.flatten()] = 0

    return step


def overcomplete(_: str, shape: Shape) -> Step:
    """`train_sae` on a single batch, silent, with a mean squared error."""
    from overcomplete.sae import TopKSAE, train_sae

    sae = TopKSAE(shape.d_in, nb_concepts=shape.d_sae, top_k=shape.k, device="cpu")
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-3)

    def loss(x: torch.Tensor, x_hat: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return (x - x_hat).square().mean()

    return lambda _, x: train_sae(sae, [x], loss, optimizer, nb_epochs=1, monitoring=0)


def pytorch(shape: Shape, *, sparse: bool) -> Step:
    """What one would write first; `sparse` decodes the k chosen latents instead of all."""
    w_dec = torch.nn.Parameter(F.normalize(torch.randn(shape.d_sae, shape.d_in), dim=1))
    w_enc = torch.nn.Parameter(w_dec.detach().clone())
    b_enc = torch.nn.Parameter(torch.zeros(shape.d_sae))
    b_dec = torch.nn.Parameter(torch.zeros(shape.d_in))
    weights = [w_enc, b_enc, w_dec, b_dec]
    optimizer = torch.optim.Adam(weights, lr=3e-4)
    since_fired = torch.zeros(shape.d_sae, dtype=torch.long)

    def decode(acts: torch.Tensor, values: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        if sparse:
            return F.embedding_bag(latents, w_dec, per_sample_weights=values, mode="sum")
        return torch.zeros_like(acts).scatter(-1, latents, values) @ w_dec

    def step(_: int, x: torch.Tensor) -> None:
        acts = F.relu(F.linear(x - b_dec, w_enc, b_enc))
        values, latents = acts.topk(shape.k, dim=-1, sorted=False)
        x_hat = decode(acts, values, latents) + b_dec
        (x - x_hat).pow(2).sum(-1).mean().backward()
        with torch.no_grad():
            w_dec.grad.sub_((w_dec.grad * w_dec).sum(1, keepdim=True) * w_dec)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            w_dec.div_(w_dec.norm(dim=1, keepdim=True))
        since_fired.add_(len(x))
        since_fired[latents.flatten()] = 0

    return step


PEERS: dict[str, Callable[[str, Shape], Step]] = {
    "SAELens": saelens,
    "dictionary_learning": dictionary_learning,
    "sparsify": sparsify,
    "overcomplete": overcomplete,
    "PyTorch, dense": lambda _, shape: pytorch(shape, sparse=False),
    "PyTorch, sparse": lambda _, shape: pytorch(shape, sparse=True),
}
