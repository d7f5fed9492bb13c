#!/usr/bin/env python3
"""Turns peers.json into ratios and a table: `table.py PEERS_JSON` prints it and puts it into README.md."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from statistics import median
from typing import Any

from cases import FLOORS, FORMS, INDEX, STEPS

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "<!-- bench:peers -->", "<!-- /bench:peers -->"
TITLES = {case: title for case, (title, *_) in STEPS.items()} | {INDEX: "index of 1,047,459 rows"}

Measurement = dict[str, Any]


def times(measurement: Measurement) -> list[float]:
    """In milliseconds: of each step, or of the one pass over the rows."""
    if "step_ms" in measurement:
        return measurement["step_ms"]
    return [measurement.get("seconds", measurement["wall_s"]) * 1e3]


def brief(measurement: Measurement) -> str:
    return f"{duration(times(measurement))}, {measurement.get('peak_mib', '?')} MiB"


def duration(ms: list[float]) -> str:
    if median(ms) < 10_000:
        return spread(ms, ",.0f") + " ms"
    return spread([t / 1e3 for t in ms], ",.1f") + " s"


def spread(values: list[float], form: str = ".1f") -> str:
    """`median (least–largest)`, or the value if there is one."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def ratios(report: dict[str, Any], case: str, peer: str, form: str) -> list[float]:
    """How many times as fast ours is, round by round."""
    found: dict[int, dict[str, float]] = {}
    for m in report["measurements"]:
        if m["case"] == case and m["beside"] == peer:
            found.setdefault(m["round"], {})[m["tool"]] = median(times(m))
    return [tools[peer] / tools[form] for tools in found.values() if form in tools]


def markdown(report: dict[str, Any], path: Path) -> str:
    machine, link = report["machine"], os.path.relpath(path, ROOT)
    lines = [
        f"{machine['cpu']}, {report['threads']} threads, {machine['date']}: `make bench-peers`, [{link}]({link}).",
        "",
        "| | | time | peak memory, MiB | f32 is faster by | bf16-candidates by |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for case in dict.fromkeys(m["case"] for m in report["measurements"]):
        of_case = [m for m in report["measurements"] if m["case"] == case]
        tools = dict.fromkeys(m["tool"] for m in of_case)
        for tool in sorted(tools, key=lambda tool: tool in FORMS):
            own = [m for m in of_case if m["tool"] == tool]
            cells = [f"sae, {tool}" if tool in FORMS else tool]
            cells.append(duration([t for m in own for t in times(m)]))
            cells.append(str(max((m["peak_mib"] for m in own if "peak_mib" in m), default="")))
            for form in FORMS:
                of_form = ratios(report, case, tool, form)
                cells.append(spread(of_form) if of_form else "")
            lines.append(f"| {TITLES[case]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def below_floors(report: dict[str, Any]) -> list[str]:
    """A line for each ratio that is less than it must be; those not measured are passed over."""
    lines = []
    for (case, peer), forms in FLOORS.items():
        for form, floor in forms.items():
            of_form = ratios(report, case, peer, form)
            if of_form and median(of_form) < floor:
                found = f"{spread(of_form)} times as fast, expected at least {floor:g}"
                lines.append(f"FAILED: {TITLES[case]}, sae {form} beside {peer}: {found}")
    return lines


def write(path: Path, report: dict[str, Any]) -> None:
    """One measurement a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps(report | {"measurements": []}, indent=1).removesuffix("[]\n}")
    path.write_text(head + "[\n  " + ",\n  ".join(map(json.dumps, report["measurements"])) + "\n ]\n}\n")


def into_readme(text: str) -> None:
    readme = ROOT / "README.md"
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    readme.write_text(between.sub(lambda _: f"{BEGIN}\n{text}\n{END}", readme.read_text(), count=1))


if __name__ == "__main__":
    source = Path(sys.argv[1]).resolve()
    table = markdown(json.loads(source.read_text()), source)
    print(table)
    into_readme(table)
