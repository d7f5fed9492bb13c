"""What machine this is, and where its results go: bench/runs/DATE-MACHINE/."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Those that the kernels are compiled for, or could be.
INSTRUCTION_SETS = "sse4_2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_bf16 amx_bf16 neon".split()


def run_dir() -> Path:
    path = ROOT / "bench" / "runs" / f"{datetime.date.today()}-{slug()}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def slug() -> str:
    """The processor and its cores, as `amd-epyc-2c`."""
    model = re.sub(r"\((R|TM)\)|\b(CPU|Processor|\d+-Core)\b|@.*", " ", cpu_model(), flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") + f"-{cores()}c"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    return cpu_field("model name") or platform.processor() or platform.machine()


def cpu_field(name: str) -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(rf"^{name}\s*:\s*(.*)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found[1].strip() if found else ""


def facts() -> dict[str, str]:
    flags = cpu_field("flags").split()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    family = [cpu_field(name) for name in ("vendor_id", "cpu family", "model")]
    return {
        "date": str(datetime.date.today()),
        "cpu": f"{cpu_model()} ({', family '.join(family[:2])}, model {family[2]})" if all(family) else cpu_model(),
        "cores": str(cores()),
        "instruction sets": " ".join(name for name in INSTRUCTION_SETS if name in flags),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "rustc": output("rustc", "--version"),
        "commit": output("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def write_facts(folder: Path) -> None:
    lines = (f"{name}: {value}\n" for name, value in facts().items())
    (folder / "machine.txt").write_text("".join(lines))
