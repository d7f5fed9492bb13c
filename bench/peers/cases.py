"""What is measured, beside what, and how much faster ours has to be."""

from __future__ import annotations

from peers import Shape

SMALL = Shape(d_in=384, d_sae=6144, k=32, batch=4096)
LARGE = Shape(d_in=768, d_sae=24576, k=32, batch=4096)
ALL = ("SAELens", "dictionary_learning", "sparsify", "overcomplete", "PyTorch, dense", "PyTorch, sparse")
TWO = ("SAELens", "dictionary_learning")

# Training steps: case → title, method, shape, peers.
STEPS = {
    "topk": ("TopK", "topk", SMALL, ALL),
    "batch_topk": ("BatchTopK", "batch_topk", SMALL, TWO),
    "jump_relu": ("JumpReLU", "jump_relu", SMALL, TWO),
    "matryoshka": ("Matryoshka", "matryoshka", SMALL, TWO),
    "topk-large": ("TopK, 768 × 24,576", "topk", LARGE, ALL),
}
INDEX = "index"
DEFAULT = ("topk", "batch_topk", "jump_relu", "matryoshka", INDEX)

# Our forms, by `train.precision` and `sae index --precision`.
FORMS = ("f32", "bf16-candidates")

# Ratios below which `run.py --check` fails: (case, peer) → our form → times as fast.
FLOORS = {
    ("topk", "SAELens"): {"f32": 9.5, "bf16-candidates": 13.5},
    ("topk", "dictionary_learning"): {"f32": 7.8, "bf16-candidates": 11.0},
    ("topk", "sparsify"): {"f32": 3.0, "bf16-candidates": 4.1},
    **{("batch_topk", peer): {"bf16-candidates": 13.0} for peer in TWO},
    **{("jump_relu", peer): {"bf16-candidates": 10.0} for peer in TWO},
    **{("matryoshka", peer): {"bf16-candidates": 11.0} for peer in TWO},
    (INDEX, "PyTorch, sparse"): {"bf16-candidates": 2.4},
}
