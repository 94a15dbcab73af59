"""Run every benchmark, one after the other, and rewrite the table in docs/benchmarks.md: `make bench`.

    python benchmarks/run.py [NAME...] [--tiny] [--table-only]

Each runs in a process of its own on one core with one thread and writes `benchmarks/results/NAME.json`; ratios are of
CPU seconds within that process. A benchmark that fails is named, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import Line, shown, write_lines

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"
START, END = "<!-- table: written by benchmarks/run.py -->", "<!-- end of table -->"


def from_cohort(out: str, found: dict[str, Any]) -> list[Line]:
    ours = found.get("ours", found)
    return [
        Line("statistics of 10,000 cases, 2,000 bootstraps", ours["cpu_s"], "CPU s", goal=20.0, at_least=False),
        Line("memory of the same", ours["peak_gib"], "GiB", goal=1.5, at_least=False),
    ]


def from_detection(out: str, found: dict[str, Any]) -> list[Line]:
    ram, disk = found["ours_in_ram"], found["ours_on_disk"]
    peer = found.get("picai_eval_in_ram", {}).get("cpu_s_per_case")
    note = "" if peer else "picai_eval is not installed here: give LA_MEDICAL_PICAI_PYTHON"
    return [
        Line("candidates and matching, 512 x 512 x 200 in RAM, against picai_eval", ram["cpu_s_per_case"], "CPU s",
             peer, found.get("ratio_in_ram"), 60.0 if peer else None, note=note),
        Line("the same from .nii.gz, against bare reading and decompressing", disk["cpu_s_per_case"], "CPU s",
             disk["bare_cpu_s"], disk["ratio"], 1.3, at_least=False),
    ]  # fmt: skip


def from_scan(out: str, found: dict[str, Any]) -> list[Line]:
    """Of the nested tree, which is printed first: headers, the scan, the command with Python's start; memory."""

    def numbers(pattern: str) -> list[float]:
        match = re.search(pattern, out)
        if match is None:
            raise ValueError(f"dicom_scan.py no longer prints {pattern!r}")
        return [float(number) for number in match.groups()]

    (theirs,) = numbers(r"pydicom stop_before_pixels\s+([\d.]+)")
    headers, header_ratio = numbers(r"headers and values alone\s+([\d.]+)\s+pydicom\s+([\d.]+)")
    scan, scan_ratio = numbers(r"the scan, tables written\s+([\d.]+)\s+pydicom\s+([\d.]+)")
    command, reading, command_ratio = numbers(r"with start of Python: scan ([\d.]+), pydicom ([\d.]+),\s+([\d.]+)")
    lines = [
        Line("DICOM headers of 3,000 slices against pydicom", headers, "CPU s", theirs, header_ratio, 8.0),
        Line("the scan, judged and written, against pydicom's bare reading", scan, "CPU s", theirs, scan_ratio, 8.0),
        Line("both as commands, with the start of Python", command, "CPU s", reading, command_ratio),
    ]
    if "peak memory" in out:
        small, large = numbers(r"peak memory: (\d+) MiB at \d+ files, (\d+) MiB")
        lines.append(Line("scan memory at ten times the files", large, "MiB", small, large / small, 1.5, False))
    return lines


def from_manifest(out: str, found: dict[str, Any]) -> list[Line]:
    last = json.loads(out.strip().splitlines()[-1])
    ours, peer = last["la_medical"], last["peer"]
    what = f"assemble, split and audit of {last['rows']:,} rows"
    return [
        Line(what, ours["cpu_s"], "CPU s", goal=60.0, at_least=False),
        Line(f"{what}, against pandas reading and writing them", ours["cpu_s"], "CPU s", peer["cpu_s"],
             ours["cpu_s"] / peer["cpu_s"]),
        Line(f"{what}, memory", ours["peak_gib"], "GiB", goal=2.0, at_least=False),
    ]  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """A file here, what it is about, and how its output turns into lines if it does not write them itself."""

    title: str
    arguments: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ("--tiny",)
    lines: Callable[[str, dict[str, Any]], list[Line]] | None = None
    writes_json: bool = True
    cores: int = field(default=1)


BENCHMARKS = {
    "startup": Benchmark("Start-up"),
    "input_xray": Benchmark("Input: X-rays"),
    "patches": Benchmark("Input: CT patches"),
    "step": Benchmark("A training step"),
    "head_scaling": Benchmark("The head, 2D and 3D"),
    "head": Benchmark("The head at every voxel"),
    "windows": Benchmark("Answering a CT volume"),
    "whole_scan": Benchmark("A CT scan from file to prediction"),
    "processes": Benchmark("Two processes", cores=2),
    "detection_speed": Benchmark("Detection", ("--cases", "3", "--random", "20"), ("--cases", "1"), from_detection),
    "detection_cohort": Benchmark(
        "Statistics of a cohort", (), ("--cases", "200", "--bootstraps", "50"), from_cohort
    ),
    "dicom_scan": Benchmark("DICOM", (), ("--files", "300", "--skip-memory"), from_scan, writes_json=False),
    "manifest_scale": Benchmark("Manifests", (), ("--rows", "3000"), from_manifest, writes_json=False),
}  # fmt: skip


def run(name: str, one: Benchmark, tiny: bool, results: Path) -> None:
    """One benchmark; its output goes on to the terminal."""
    cores = sorted(os.sched_getaffinity(0))[: one.cores]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command = [sys.executable, "-W", "ignore", str(HERE / f"{name}.py"), *(one.tiny if tiny else one.arguments)]
        command += ["--out", str(found)] if one.writes_json else []
        started = time.perf_counter()
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, cores), text=True, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        seconds = round(time.perf_counter() - started, 1)
        results.mkdir(exist_ok=True)
        if one.lines is None:
            content = json.loads(found.read_text())
            lines = [Line(**{k: v for k, v in entry.items() if k != "met"}) for entry in content["lines"]]
        else:
            lines = one.lines(done.stdout, json.loads(found.read_text()) if one.writes_json else {})
    write_lines(results / f"{name}.json", lines, title=one.title, seconds=seconds)
    for line in lines:
        print(line.text(), flush=True)


def table(results: Path) -> str:
    """The Markdown table of everything in `results`, in the order of `BENCHMARKS`."""
    rows = ["| what | ours | peer | ratio | goal | |", "|---|---|---|---|---|---|"]
    machine: dict[str, Any] = {}
    for name, one in BENCHMARKS.items():
        file = results / f"{name}.json"
        if not file.is_file():
            continue
        content = json.loads(file.read_text())
        machine = content["machine"]
        rows.append(f"| **{one.title}** (`benchmarks/{name}.py`) | | | | | |")
        for entry in content["lines"]:
            rows.append(row(Line(**{k: v for k, v in entry.items() if k != "met"})))
    return described(machine) + "\n\n" + "\n".join(rows)


def row(line: Line) -> str:
    what = line.what + (f" ({line.note})" if line.note else "")
    peer = "" if line.peer is None else f"{shown(line.peer)} {line.unit}"
    ratio = "" if line.ratio is None else shown(line.ratio)
    goal = "" if line.goal is None else f"{'at least' if line.at_least else 'at most'} {shown(line.goal)}"
    met = {None: "", True: "met", False: "**missed**"}[line.met]
    return f"| {what} | {shown(line.ours)} {line.unit} | {peer} | {ratio} | {goal} | {met} |"


def described(machine: dict[str, Any]) -> str:
    if not machine:
        return "Nothing has been measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']} ({', '.join(machine['instructions'])}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['gpu'] or 'no GPU'}; Python {machine['python']}, {versions}."
    )


def write_table(results: Path, page: Path) -> None:
    """Put the table between the two marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    page.write_text(f"{before}{START}\n{table(results)}\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument("--tiny", action="store_true", help="shows that all run; results and page stay as they are")
    parser.add_argument("--table-only", action="store_true", help="write the table from the results that are there")
    arguments = parser.parse_args()
    if strange := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"{', '.join(sorted(strange))}: expected some of {', '.join(BENCHMARKS)}")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) if arguments.tiny else RESULTS
        for name in [] if arguments.table_only else arguments.names or BENCHMARKS:
            if not (HERE / f"{name}.py").is_file():
                continue
            print(f"== {BENCHMARKS[name].title}: benchmarks/{name}.py", flush=True)
            try:
                run(name, BENCHMARKS[name], arguments.tiny, results)
            except (subprocess.CalledProcessError, KeyError, ValueError) as error:
                failed.append(name)
                print(f"   FAILED: {error}", flush=True)
        if not arguments.tiny:
            write_table(RESULTS, PAGE)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
