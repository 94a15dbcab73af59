"""What every benchmark shares: CPU seconds of two things in one run, a line with its goal, the machine's facts."""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from la_medical.artifacts import write_json

PACKAGES = ("torch", "monai", "numpy", "pandas", "pydicom", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Line:
    """One figure beside its goal.

    `ours` and `peer` are what was measured, in `unit`; `ratio` is what the goal is about, and must reach `goal`
    (`at_least`) or stay below it. A line without goal is for information.
    """

    what: str
    ours: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    goal: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        return value >= self.goal if self.at_least else value <= self.goal

    def text(self) -> str:
        """One line for a terminal."""
        peer = "" if self.peer is None else f" against {shown(self.peer)}"
        ratio = "" if self.ratio is None else f": {shown(self.ratio)} times"
        sign = ">=" if self.at_least else "<="
        goal = "" if self.goal is None else f"  [goal {sign} {shown(self.goal)}: {'met' if self.met else 'MISSED'}]"
        return f"{self.what}: {shown(self.ours)}{peer} {self.unit}{ratio}{goal}" + (
            f"  ({self.note})" * bool(self.note)
        )


def shown(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.6f}"


def cpu_seconds(work: Callable[[], Any], rounds: int = 3) -> float:
    """Least CPU seconds (user and system) of this process for `work`, after one call that warms up."""
    return interleaved([work], rounds)[0]


def interleaved(works: Sequence[Callable[[], Any]], rounds: int = 3) -> list[float]:
    """Least CPU seconds of each work; they take turns, so that a change of the machine's speed meets all alike."""
    for work in works:
        work()
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            gc.collect()
            started = time.process_time()
            work()
            best[number] = min(best[number], time.process_time() - started)
    return best


def peak_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def forget_peak() -> None:
    """Start `peak_mib` again from what is resident now."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def added_mib(work: Callable[[], Any]) -> float:
    """Most MiB that `work` holds at once beyond what is there before (Linux with glibc); at least 1."""
    libc, threshold = ctypes.CDLL(None), -3  # M_MMAP_THRESHOLD: blocks above it go back to the system when freed
    work()
    libc.mallopt(threshold, 1 << 16)
    forget_peak()
    before = peak_mib()
    work()
    libc.mallopt(threshold, 1 << 25)
    return max(peak_mib() - before, 1.0)


def machine() -> dict[str, Any]:
    """Processor, cores, memory, GPU and versions; nothing that names the machine."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in line]
            break
    else:
        wide = []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": processor,
        "instructions": wide,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "gpu": _gpu(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def benchmark(description: str, measure: Callable[[bool], list[Line]]) -> None:
    """The command line of one benchmark: `--tiny` for a trial of seconds, `--out FILE` for JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: shows that it runs, measures nothing")
    parser.add_argument("--out", type=Path, help="write the lines as JSON")
    arguments = parser.parse_args()
    started = time.perf_counter()
    lines = measure(arguments.tiny)
    for line in lines:
        print(line.text(), flush=True)
    if arguments.out:
        write_lines(arguments.out, lines, seconds=time.perf_counter() - started)


def write_lines(path: Path, lines: Sequence[Line], **more: Any) -> None:
    """The lines and the machine as JSON."""
    entries = [{**asdict(line), "met": line.met} for line in lines]
    write_json(path, json.loads(json.dumps({"machine": machine(), **more, "lines": entries})))
