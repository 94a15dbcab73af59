"""Assemble, audit (labels only) and split manifests of a million rows: seconds of each step, and peak memory.

    python benchmarks/manifest_scale.py [--rows 1000000] [--suffix csv]

The peer is pandas alone: reading the same tables and writing the joined one, which any way of doing this has to do.
Aim: a minute and 2 GiB for the three commands together.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from la_medical.cli.main import main as la_medical
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns, write_manifest

CLASSES = ("atelectasis", "cardiomegaly", "effusion", "pneumonia", "nodule", "edema", "no_finding")
SOURCES = {"hospital_a": CLASSES, "hospital_b": CLASSES[:4], "hospital_c": CLASSES[3:]}


def write_sources(folder: Path, rows: int, suffix: str) -> list[Path]:
    """Three sources with patients of one to five images, each knowing some of the classes."""
    space = LabelSpace.load("chest_xray")
    paths = []
    for number, (source, known) in enumerate(SOURCES.items()):
        count = rows // 3 + (number < rows % 3)
        generator = np.random.default_rng(number)
        patient = np.sort(generator.integers(0, max(1, count // 3), count))
        index = pd.Series(np.arange(count)).astype(str).str.zfill(7)
        columns = {
            "case_id": source + "_" + index,
            "patient_id": "P" + pd.Series(patient).astype(str).str.zfill(7),
            "source": source,
            "image": source + "/images/" + index + ".png",
            "age": pd.Series(generator.integers(18, 95, count)).astype(str),
        }
        for name in known:
            states = generator.choice([0, 1, -1], count, p=[0.88, 0.1, 0.02])
            columns[f"label.{name}"] = pd.array(states, dtype="Int8")
        cards = {source: SourceCard(name=source, classes=known, label_space="chest_xray")}
        manifest = from_columns(columns, root=folder, space=space, cards=cards)
        paths.append(write_manifest(manifest, folder / f"{source}.{suffix}", command="benchmark"))
    return paths


def run(arguments: list[str]) -> None:
    """One command, its printed table thrown away; exit codes 0 and 1 are both done."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = la_medical(arguments)
    if code > 1:
        raise SystemExit(f"la-medical {' '.join(arguments)} ended with {code}")


def ours(paths: list[str], out: str, suffix: str) -> dict[str, float]:
    joined = f"{out}/joined.{suffix}"
    steps: dict[str, Callable[[], None]] = {
        "assemble": lambda: run(["assemble", *paths, "--label-space", "chest_xray", "--out", joined]),
        "split": lambda: run(["split", joined, "--val", "0.1", "--test", "0.2", "--seed", "0"]),
        "audit": lambda: run(["audit", joined, "--labels-only", "--out", f"{out}/audit"]),
    }
    seconds = {}
    for name, step in steps.items():
        start = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - start
    return seconds


def peer(paths: list[str], out: str, suffix: str) -> dict[str, float]:
    start = time.perf_counter()
    if suffix == "parquet":
        pd.concat([pd.read_parquet(path) for path in paths]).to_parquet(f"{out}/peer.parquet", index=False)
    else:
        frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
        pd.concat(frames).fillna("").to_csv(f"{out}/peer.csv", index=False)
    return {"pandas read, concat, write": time.perf_counter() - start}


def measured(queue: multiprocessing.Queue, work: Callable[..., dict[str, float]], arguments: tuple) -> None:
    """Run `work` in this process and report its times, CPU seconds and peak resident memory."""
    start = time.process_time()
    seconds = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    queue.put((seconds, time.process_time() - start, peak))


def alone(work: Callable[..., dict[str, float]], *arguments: object) -> tuple[dict[str, float], float, float]:
    """`work` in a process of its own, so that peak memory is its alone."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measured, args=(queue, work, arguments))
    process.start()
    result = queue.get()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--suffix", choices=("csv", "parquet"), default="csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(path) for path in write_sources(Path(folder), options.rows, options.suffix)]
        report = {}
        for name, work in (("la_medical", ours), ("peer", peer)):
            seconds, cpu, peak = alone(work, paths, folder, options.suffix)
            total = sum(seconds.values())
            report[name] = {"seconds": seconds, "total_s": total, "cpu_s": cpu, "peak_gib": peak}
            for step, taken in seconds.items():
                print(f"{name:10} {step:28} {taken:7.1f} s")
            print(f"{name:10} {'together':28} {total:7.1f} s, {cpu:.1f} CPU s, peak {peak:.2f} GiB")
        ratio = report["la_medical"]["total_s"] / report["peer"]["total_s"]
        print(f"{options.rows} rows, {options.suffix}: {ratio:.1f} times the peer's time")
        print(json.dumps({"rows": options.rows, "suffix": options.suffix, "ratio": ratio, **report}))


if __name__ == "__main__":
    main()
