"""What cargo builds, and where."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from machine import ROOT, output

CARGO = os.environ.get("CARGO", "cargo")


def executable(target: str, *arguments: str) -> str:
    """Builds and returns the path of a target's program."""
    command = [CARGO, *arguments, "--locked", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, done.stdout.splitlines())
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == target][-1]


def bench(name: str) -> str:
    # With the whole workspace dependencies have the same features for every bench, and are built once.
    return executable(name, "bench", "--workspace", "--bench", name, "--no-run")


def target_directory() -> Path:
    metadata = output(CARGO, "metadata", "--no-deps", "--offline", "--format-version=1")
    return Path(json.loads(metadata)["target_directory"])
