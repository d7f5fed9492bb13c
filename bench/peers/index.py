#!/usr/bin/env python3
"""The obvious way to statistics and top examples of every latent of a TopK SAE, in PyTorch; one line of JSON.

    index.py SAE --rows FILE

SAE is a directory in the form of SAELens, FILE holds f32 rows [n, d_in]. Rows are encoded in batches and kept as
(row, latent, value); then counts, means, maxima, histograms and the 20 largest firings of every latent come from
one sort. The time does not include the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

BATCH = 4096
BINS = 50
TOP = 20


def encode(x: torch.Tensor, sae: dict[str, torch.Tensor], k: int) -> tuple[torch.Tensor, ...]:
    """Row, latent and value of every firing."""
    bias = sae["b_enc"] - sae["b_dec"] @ sae["W_enc"]
    values, latents = [], []
    for batch in x.split(BATCH):
        value, latent = torch.addmm(bias, batch, sae["W_enc"]).topk(k, dim=-1, sorted=False)
        values.append(value.relu_())
        latents.append(latent.to(torch.int32))
    value, latent = torch.cat(values).flatten(), torch.cat(latents).flatten()
    row = torch.arange(len(x), dtype=torch.int32).repeat_interleave(k)
    fires = value > 0
    return row[fires], latent[fires], value[fires]


def statistics(row: torch.Tensor, latent: torch.Tensor, value: torch.Tensor, d_sae: int) -> dict[str, torch.Tensor]:
    firings = torch.bincount(latent, minlength=d_sae)
    wide = latent.long()
    total = torch.zeros(d_sae, dtype=torch.float64).index_add_(0, wide, value.double())
    largest = torch.zeros(d_sae).scatter_reduce_(0, wide, value, "amax")
    bin_ = (value / largest[wide] * BINS).long().clamp_(max=BINS - 1)
    histogram = torch.bincount(wide * BINS + bin_, minlength=d_sae * BINS).view(d_sae, BINS)
    order = torch.argsort(value, descending=True)
    order = order[torch.argsort(latent[order], stable=True)]
    first = firings.cumsum(0) - firings
    ranks = torch.arange(TOP)
    best = order[(first[:, None] + ranks).clamp(max=len(order) - 1)]
    there = ranks < firings[:, None]
    return {
        "firings": firings,
        "mean": total / firings.clamp(min=1),
        "max": largest,
        "histogram": histogram,
        "top_value": torch.where(there, value[best], 0),
        "top_row": torch.where(there, row[best], -1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sae", type=Path)
    parser.add_argument("--rows", required=True)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    start = time.perf_counter()
    config = json.loads((args.sae / "cfg.json").read_text())
    sae = load_file(args.sae / "sae_weights.safetensors")
    x = torch.from_numpy(np.memmap(args.rows, dtype=np.float32, mode="c").reshape(-1, config["d_in"]))
    with torch.inference_mode():
        latents = statistics(*encode(x, sae, config["k"]), config["d_sae"])
    seconds = round(time.perf_counter() - start, 3)
    print(json.dumps({"seconds": seconds, "rows": len(x), "firings": int(latents["firings"].sum())}))


if __name__ == "__main__":
    main()
