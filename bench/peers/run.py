#!/usr/bin/env python3
"""Measures other libraries and ours in turn, and writes peers.json and the table of the README.

    run.py [--check] [--case CASE]... [--rounds 3] [--steps 8] [--threads 2] [--out DIR]

Each measurement is a process of its own. In every round each peer is followed by both of our forms, so that ratios are
of neighbours in time. Without --out the results go to bench/runs/DATE-MACHINE/ and into README.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import prepare  # noqa: E402
import table  # noqa: E402
from cases import DEFAULT, FORMS, INDEX, SMALL, STEPS  # noqa: E402

import cargo  # noqa: E402
import machine  # noqa: E402

# Our steps are shorter: more of them, so that a measurement lasts.
OUR_STEPS = 3
# What is kept of what a program says.
KEPT = ("step_ms", "l0", "seconds", "rows", "firings", "n_rows", "n_firings")


def measure(command: list[str], threads: int) -> dict[str, Any]:
    """What the last line of a program says, its time and its peak memory."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    offline = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    # What was written before is not to be written meanwhile.
    os.sync()
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | limits | offline)
    peak: dict[str, int] = {}
    while child.poll() is None:
        # The system's own account of a child, `ru_maxrss`, begins with the memory of the process that forked it.
        peak = memory(child.pid) or peak
        time.sleep(0.02)
    wall = {"wall_s": round(time.perf_counter() - start, 3)}
    if child.returncode:
        sys.exit(f"{' '.join(command)}: failed; its last words are above")
    last = json.loads(child.stdout.read().splitlines()[-1])
    return {name: value for name, value in last.items() if name in KEPT} | wall | peak


def memory(pid: int) -> dict[str, int]:
    """The most that a process has held so far; empty where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return {"peak_mib": int(found[1]) // 1024} if found else {}


class Run:
    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.machine = machine.facts()
        self.measurements: list[dict[str, Any]] = []
        self.step = cargo.bench("peer_step")
        self.sae = cargo.executable("sae", "build", "--release")

    def add(self, labels: dict[str, Any], command: list[str | Path]) -> dict[str, Any]:
        result = labels | measure([str(part) for part in command], self.args.threads)
        self.measurements.append(result)
        print(f"round {result['round']}  {result['case']:12}  {result['tool']:20}  {table.brief(result)}", flush=True)
        return result

    def steps(self, case: str, round_: int) -> None:
        _, method, shape, peers = STEPS[case]
        rows = prepare.training_rows(shape.d_in, shape.batch)
        sizes = {"d_in": shape.d_in, "d_sae": shape.d_sae, "k": shape.k, "batch": shape.batch, "rows": rows}
        steps = self.args.steps
        options = [f"--{name.replace('_', '-')}={value}" for name, value in sizes.items()]
        settings = [f"{name}={value}" for name, value in sizes.items()]
        for peer in peers:
            labels = {"case": case, "round": round_, "beside": peer}
            script = [sys.executable, HERE / "measure.py", peer, method]
            self.add(labels | {"tool": peer}, [*script, *options, f"--steps={steps}"])
            for form in FORMS:
                ours = [f"method={method}", f"precision={form}", f"steps={steps * OUR_STEPS}"]
                self.add(labels | {"tool": form}, [self.step, *ours, *settings])

    def index(self, round_: int) -> None:
        run = prepare.trained_run(self.sae, SMALL.d_sae, SMALL.k)
        rows, dump = prepare.index_rows(), prepare.index_dump()
        labels = {"case": INDEX, "round": round_, "beside": "PyTorch, sparse"}
        script = [sys.executable, HERE / "index.py", run / "sae", "--rows", rows]
        peer = self.add(labels | {"tool": "PyTorch, sparse"}, script)
        for form in FORMS:
            command = [self.sae, "index", run, "--data", dump, "--precision", form, "--force", "--json"]
            ours = self.add(labels | {"tool": form}, command)
            if abs(peer["firings"] / ours["n_firings"] - 1) > 1e-4:
                sys.exit(f"{peer['firings']} firings by PyTorch, {ours['n_firings']} by sae: expected the same")

    def report(self) -> dict[str, Any]:
        names = re.findall(r"^([\w-]+)==", (HERE / "requirements.txt").read_text(), re.MULTILINE)
        return {
            "command": " ".join(["bench/peers/run.py", *sys.argv[1:]]),
            "machine": self.machine,
            "threads": self.args.threads,
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in names},
            "measurements": self.measurements,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*STEPS, INDEX], help="may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a peer in a measurement")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="directory for peers.json; README.md is then left as it is")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a ratio is below its floor")
    args = parser.parse_args()

    run = Run(args)
    for round_ in range(args.rounds):
        for case in args.case or DEFAULT:
            if case == INDEX:
                run.index(round_)
            else:
                run.steps(case, round_)
    folder = args.out or machine.run_dir()
    report = run.report()
    table.write(folder / "peers.json", report)
    text = table.markdown(report, (folder / "peers.json").resolve())
    print(text)
    if not args.out:
        table.into_readme(text)
    failures = table.below_floors(report)
    for line in failures:
        print(line)
    sys.exit(1 if args.check and failures else 0)


if __name__ == "__main__":
    main()
