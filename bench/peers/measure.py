#!/usr/bin/env python3
"""Times training steps of one peer; prints one line of JSON. A process of its own for each measurement.

    measure.py PEER METHOD --rows FILE --d-in 384 --d-sae 6144 --k 32 --batch 4096 --steps 8

FILE holds f32 values, [n, d_in], at least a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings

import numpy as np
import torch

from peers import PEERS, Shape

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("method", choices=["topk", "batch_topk", "jump_relu", "matryoshka"])
    parser.add_argument("--rows", required=True)
    parser.add_argument("--steps", type=int, default=8)
    for name, default in {"d-in": 384, "d-sae": 6144, "k": 32, "batch": 4096}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)

    rows = torch.from_numpy(np.fromfile(args.rows, dtype=np.float32).reshape(-1, args.d_in))
    batches = [batch for batch in rows.split(args.batch) if len(batch) == args.batch]
    step = PEERS[args.peer](args.method, Shape(args.d_in, args.d_sae, args.k, args.batch))
    times = []
    for i in range(WARM_UP + args.steps):
        x = batches[i % len(batches)]
        start = time.perf_counter()
        step(i, x)
        times.append(round((time.perf_counter() - start) * 1e3, 2))
    print(json.dumps({"step_ms": times[WARM_UP:]}))


if __name__ == "__main__":
    main()
