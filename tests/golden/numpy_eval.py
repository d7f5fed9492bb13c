#!/usr/bin/env python3
"""The metrics of an SAE on a dump in plain numpy, to compare `sae eval --all --json` against.

    numpy_eval.py SAE_DIR DUMP_DIR > eval.json

Needs: pip install numpy pyarrow safetensors
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file


def entropy(p: np.ndarray) -> np.ndarray:
    """In bits, over the first axis."""
    return -np.sum(p * np.log2(p, where=p > 0, out=np.zeros_like(p)), axis=0)


def main() -> None:
    sae_dir, dump = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((sae_dir / "cfg.json").read_text())
    assert config["architecture"] == "topk" and config["apply_b_dec_to_input"]
    w = {name: tensor.astype(np.float64) for name, tensor in load_file(sae_dir / "sae_weights.safetensors").items()}
    columns = [pq.read_table(path, columns=["activation"]).column(0) for path in sorted(dump.glob("*.parquet"))]
    x = np.concatenate([chunk.flatten().to_numpy().astype(np.float64) for column in columns for chunk in column.chunks])
    x = x.reshape(-1, config["d_in"])

    pre_acts = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    latents = np.argsort(-pre_acts, axis=1, kind="stable")[:, : config["k"]]
    acts = np.zeros_like(pre_acts)
    np.put_along_axis(acts, latents, np.maximum(np.take_along_axis(pre_acts, latents, 1), 0), 1)
    out = acts @ w["W_dec"] + w["b_dec"]

    l0 = np.sort((acts > 0).sum(1))
    density = (acts > 0).mean(0)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(out, axis=1)
    n = len(x)
    # Of each latent: whether it fires, then the bin of its value, 32 in (0, r] with r a power of two.
    bits = entropy(np.stack([density, 1 - density]))
    for latent, a in enumerate(acts.T):
        a = a[a > 0]
        if len(a):
            bins = np.ceil(a / 2 ** np.ceil(np.log2(a.max())) * 32).astype(int) - 1
            bits[latent] += density[latent] * entropy(np.bincount(bins) / len(a))
    fvu = ((x - out) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    json.dump(
        {
            "n_rows": n,
            "l0_mean": l0.mean(),
            "l0_median": int(l0[int(np.ceil(n / 2)) - 1]),
            "l0_p95": int(l0[int(np.ceil(0.95 * n)) - 1]),
            "fvu": fvu,
            "explained_variance": 1 - fvu,
            "mean_squared_error": ((x - out) ** 2).sum(1).mean(),
            "cosine": ((x * out).sum(1) / norms).mean(),
            "relative_reconstruction_bias": (out**2).sum() / (x * out).sum(),
            "dead_fraction": (density == 0).mean(),
            "dense_fraction": (density > 0.1).mean(),
            "description_length": bits.sum(),
        },
        sys.stdout,
        indent=2,
    )
    print()


if __name__ == "__main__":
    main()
