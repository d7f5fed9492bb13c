"""Where the processor's time goes in a training step, by `perf`."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter

import cargo

STEP = "train/384x6144, k 32, batch 4096/step"
# The bench makes its data first, which is not to be counted.
SKIPPED_MS, SECONDS = 3000, 12
SMALLEST = 0.3


def profile() -> tuple[str, str]:
    """The command, and what it found: shares by module of the kernels, then by function."""
    if shutil.which("perf") is None:
        return "", "perf is not installed here: there is no profile.\n"
    with tempfile.NamedTemporaryFile() as data:
        record = ["perf", "record", "-q", "-D", str(SKIPPED_MS), "-o", data.name]
        bench = ["--bench", "--profile-time", str(SECONDS), "--exact", STEP]
        recorded = subprocess.run([*record, cargo.bench("step"), *bench], stdout=subprocess.PIPE)
        report = ["perf", "report", "-i", data.name, "--stdio", "--no-children", "--sort", "symbol"]
        found = subprocess.run(report, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    command = f"perf record -D {SKIPPED_MS} STEP --bench --profile-time {SECONDS} --exact '{STEP}'"
    if recorded.returncode or found.returncode:
        return command, "perf may not record here: there is no profile.\n"
    return command, summary(found.stdout)


def summary(report: str) -> str:
    line = re.compile(r"^\s*([\d.]+)%\s+\[(.)\]\s+(.*?)(?:\s+-\s+-)?\s*$", re.MULTILINE)
    functions = [(float(share), place, name) for share, place, name in line.findall(report)]
    modules: Counter[str] = Counter()
    for share, place, name in functions:
        modules[module(place, name)] += share
    lines = ["percent of the processor's time, by module"]
    lines += [f"{share:6.1f}  {name}" for name, share in modules.most_common() if share >= SMALLEST]
    lines += ["", "by function"]
    lines += [f"{share:6.1f}  {name}" for share, _, name in functions if share >= SMALLEST]
    return "\n".join(lines) + "\n"


def module(place: str, name: str) -> str:
    if place == "k":
        return "the system"
    ours = re.search(r"\b(sae_\w+(?:::[a-z_]\w*)+)::", name)
    if ours:
        return "::".join(ours[1].split("::")[:3])
    return "libraries and inlined iterators"
