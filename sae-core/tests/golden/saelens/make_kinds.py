#!/usr/bin/env python3
"""Make a small SAE of every kind with the real SAELens, and what it makes of some rows.

    make_kinds.py OUT_DIR

Writes OUT_DIR/NAME/ for each kind: cfg.json and sae_weights.safetensors as SAELens saves them, and
ref.safetensors with `x [16, 12]`, `acts [16, 40]` and `recon [16, d_out]`, all float32, from the SAE as
SAELens loads it again. The same versions write the same bytes.

Needs: pip install sae-lens==6.54.12
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

D_IN, D_OUT, D_SAE, ROWS = 12, 9, 40, 16

KINDS = {
    "standard": {},
    "standard_no_b_dec": {"apply_b_dec_to_input": False},
    "standard_layer_norm": {"normalize_activations": "layer_norm"},
    "standard_constant_norm_rescale": {"normalize_activations": "constant_norm_rescale"},
    "standard_expected_average_only_in": {"normalize_activations": "expected_average_only_in"},
    "topk": {"k": 5},
    "topk_rescaled": {"k": 5, "rescale_acts_by_decoder_norm": True},
    "jumprelu": {},
    "gated": {},
    "transcoder": {},
    "skip_transcoder": {},
    "jumprelu_transcoder": {},
    "jumprelu_transcoder_layer_norm": {"normalize_activations": "layer_norm"},
    "jumprelu_skip_transcoder": {},
}


def architecture(name: str) -> str:
    """The longest architecture that the name begins with."""
    from sae_lens.registry import SAE_CLASS_REGISTRY

    return max((known for known in SAE_CLASS_REGISTRY if name.startswith(known)), key=len)


def make(name: str, settings: dict, generator: torch.Generator, out: Path) -> None:
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class
    from sae_lens.saes.sae import SAEMetadata

    sae_class, config_class = get_sae_class(architecture(name))
    if "transcoder" in name:
        settings = settings | {"d_out": D_OUT, "apply_b_dec_to_input": False}
    metadata = SAEMetadata(model_name="toy", hook_name="layer 3", training_architecture="batchtopk")
    sae = sae_class(config_class(d_in=D_IN, d_sae=D_SAE, metadata=metadata, **settings))
    with torch.no_grad():
        for weight, tensor in sae.named_parameters():
            if weight == "threshold":
                # Some are negative: they then bar nothing that ReLU lets pass.
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.2)
            else:
                # Decoder rows are not of unit length, so that rescaling by their norms matters.
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    sae.save_model(out)
    saved = SAE.load_from_disk(out, device="cpu").eval()
    x = torch.randn((ROWS, D_IN), generator=generator) * 1.5 + 0.5
    with torch.inference_mode():
        found = {"x": x, "acts": saved.encode(x), "recon": saved(x)}
    save_file({name: tensor.clone().contiguous() for name, tensor in found.items()}, out / "ref.safetensors")
    print(f"{out}: {float((found['acts'] != 0).sum()) / ROWS:.1f} active of {D_SAE}")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path, metavar="OUT_DIR")
    args = p.parse_args()
    generator = torch.Generator().manual_seed(0)
    for name, settings in KINDS.items():
        if (args.out / name).exists():
            print(f"error: {args.out / name}: expected nothing there, found a directory; remove it", file=sys.stderr)
            return 1
        make(name, settings, generator, args.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
