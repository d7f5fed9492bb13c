#!/usr/bin/env python3
"""Runs the benches of the crates and writes bench/runs/DATE-MACHINE/: machine.txt, commands.txt, benches.json,
benches.md, profile-step.txt.

    run.py [--bench NAME]... [--quick] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cargo
import machine
import profile_step

BENCHES = ("encode", "dump", "index", "step", "methods", "shuffle")


def measured_since(start: float) -> list[dict[str, Any]]:
    """What criterion left: medians in nanoseconds with 95 % intervals, and the work of one iteration."""
    found = []
    for path in (cargo.target_directory() / "criterion").glob("**/new/benchmark.json"):
        if path.stat().st_mtime < start:
            continue
        about = json.loads(path.read_text())
        median = json.loads(path.with_name("estimates.json").read_text())["median"]
        interval = median["confidence_interval"]
        found.append(
            {
                "group": about["group_id"],
                "name": about["function_id"],
                "median_ns": median["point_estimate"],
                "interval_ns": [interval["lower_bound"], interval["upper_bound"]],
                "work": work(about["throughput"]),
                "measured": path.stat().st_mtime,
            }
        )
    found.sort(key=lambda bench: bench.pop("measured"))
    return found


def work(throughput: dict[str, Any] | None) -> dict[str, int]:
    match throughput:
        case {"ElementsAndBytes": {"elements": rows, "bytes": size}}:
            return {"rows": rows, "bytes": size}
        case {"Elements": rows}:
            return {"rows": rows}
        case _:
            return {}


def markdown(benches: list[dict[str, Any]]) -> Iterator[str]:
    """A table of each group: its bounds, and what is measured beside them."""
    yield "Medians of criterion with 95 % intervals. A bound is work that cannot be left out; beside it stands its"
    yield "rate as a share of the bound's: 100 % would be as fast. `make bench` repeats this."
    for group in dict.fromkeys(bench["group"] for bench in benches):
        members = [bench for bench in benches if bench["group"] == group]
        bounds = [bench for bench in members if bench["name"].startswith("bound")]
        yield f"\n## {group}\n"
        yield "| | time, ms | rate |" + "".join(f" of {bound['name']} |" for bound in bounds)
        yield "|---|--:|--:|" + "--:|" * len(bounds)
        for bench in members:
            low, high = (f"{ns / 1e6:.1f}" for ns in bench["interval_ns"])
            shares = "".join(f" {bound['median_ns'] / bench['median_ns']:.0%} |" for bound in bounds)
            yield f"| {bench['name']} | {bench['median_ns'] / 1e6:.1f} ({low}–{high}) | {rates(bench)} |{shares}"


def rates(bench: dict[str, Any]) -> str:
    seconds, work = bench["median_ns"] / 1e9, bench["work"]
    texts = []
    if "rows" in work:
        texts.append(f"{work['rows'] / seconds:,.0f} rows/s")
    if "bytes" in work:
        texts.append(f"{work['bytes'] / seconds / 1e6:,.0f} MB/s")
    return ", ".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", action="append", choices=BENCHES, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="criterion's: few samples, to try this script")
    parser.add_argument("--out", type=Path, help="another directory for the results")
    args = parser.parse_args()
    folder = args.out or machine.run_dir()
    folder.mkdir(parents=True, exist_ok=True)
    machine.write_facts(folder)

    start = time.time()
    commands = []
    for name in args.bench or BENCHES:
        command = [cargo.CARGO, "bench", "--locked", "--workspace", "--bench", name]
        command += ["--", "--quick"] if args.quick else []
        commands.append(shlex.join(command))
        subprocess.run(command, cwd=machine.ROOT, check=True)
    benches = measured_since(start)
    (folder / "benches.json").write_text("[\n" + ",\n".join(map(json.dumps, benches)) + "\n]\n")
    (folder / "benches.md").write_text("\n".join(markdown(benches)) + "\n")
    command, found = profile_step.profile()
    (folder / "profile-step.txt").write_text(found)
    (folder / "commands.txt").write_text("".join(f"{line}\n" for line in [*commands, command] if line))
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
