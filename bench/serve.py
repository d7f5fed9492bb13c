#!/usr/bin/env python3
"""Asks a server for the pages of random latents with wrk, and writes serve.txt and serve.json into
bench/runs/DATE-MACHINE/.

    serve.py [--run RUN] [--seconds 10] [--connections 8] [--out DIR]

RUN is a run with an index; by default the one that `make bench-peers` leaves: 1,047,459 rows, 6,144 latents.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cargo
import machine

RUN = machine.ROOT / "bench" / "peers" / ".data" / "run-6144-32"
# Nine examples in each of seven groups: 63 contexts.
QUERY = "?per_group=9"
SCRIPT = """
math.randomseed(1)
request = function()
  return wrk.format("GET", "/api/v1/saes/{run}/latents/" .. math.random(0, {last}) .. "{query}")
end
"""


def memory_mib(pid: int) -> int:
    """The most that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) // 1024


def ask(run: Path, url: str, seconds: int, connections: int) -> str:
    last = json.loads((run / "index" / "meta.json").read_text())["d_sae"] - 1
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(run=run.name, last=last, query=QUERY))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name, url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def found(text: str, memory: int) -> dict[str, Any]:
    errors = re.search(r"Non-2xx|Socket errors", text)
    if errors:
        sys.exit(f"the server did not answer everything:\n{text}")
    return {
        "requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50": re.search(r"50%\s+(\S+)", text)[1],
        "p99": re.search(r"99%\s+(\S+)", text)[1],
        "peak_memory_mib": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--out", type=Path, help="another directory for the results")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    if not (args.run / "index" / "meta.json").is_file():
        sys.exit(f"{args.run} has no index: `make bench-peers` makes one, or give --run")
    sae = cargo.executable("sae", "build", "--release")
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [sae, "serve", args.run, "--port", "0", "--port-file", port_file]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not port_file.is_file():
                if server.poll() is not None:
                    sys.exit("the server ended; its last words are above")
                time.sleep(0.05)
            url = f"http://127.0.0.1:{port_file.read_text().strip()}"
            # The first answers find nothing in the system's memory.
            ask(args.run, url, 2, args.connections)
            text = ask(args.run, url, args.seconds, args.connections)
            results = found(text, memory_mib(server.pid))
        finally:
            server.terminate()
            server.wait()
    folder = args.out or machine.run_dir()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serve.txt").write_text(text)
    (folder / "serve.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
