"""All runs of an experiment, resumable, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import write_text
from la_medical.experiments.data_sets import drawn_for_seed, known_to, whole
from la_medical.experiments.plan import Arm, Plan, runs_of
from la_medical.experiments.single_run import Job, run
from la_medical.experiments.summary import write_summary
from la_medical.manifest.table import Manifest


def run_experiment(
    plan: Plan, *, seeds: Sequence[int], data: Path, out: Path, cache: Path | None = None, only: Sequence[str] = ()
) -> Path:
    """Every run that is not there yet, then the summary; returns its Markdown file.

    `OUT/runs.csv` has one row a run and is written after each, so that an interrupted experiment loses one run.

    Args:
        plan: what to compare.
        seeds: one draw of the training images and one start of the network each.
        data: folder that the sources' roots lie in.
        out: folder for everything that is written.
        cache: folder of unpacked images, which several experiments may share; None for `OUT/data`.
        only: names of data sets; all of them if empty.

    Raises:
        InputError: data that are missing, or a run that stopped.
    """
    cache = cache or out / "data"
    plan = with_pairs(plan, data, cache)
    jobs = [item for item in runs_of(plan, seeds) if not only or item[0] in only]
    rows: list[dict[str, Any]] = []
    truths: dict[str, Manifest] = {}
    for number, (name, arm, seed) in enumerate(jobs, start=1):
        described = plan.data[name]
        if name not in truths:
            truths[name] = whole(described, name=name, root=data, cache=cache)
        truth = drawn_for_seed(truths[name], described, name=name, seed=seed)
        known = known_to(plan.arms[arm], truth, described, seed=seed)
        folder = out / "runs" / f"{name}-{arm}-{seed}"
        job = Job(plan, name, arm, seed, known, truth, folder, cache / "packed")
        rows.append(run(job))
        write_runs(rows, out / "runs.csv")
        area = rows[-1]["auroc"]
        print(f"{number}/{len(jobs)} {job.name}: AUC {'undefined' if area is None else f'{area:.4f}'}", flush=True)
    return write_summary(plan, pd.read_csv(out / "runs.csv"), out)


def write_runs(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The table of runs: the same rows, the same bytes."""
    table = pd.DataFrame(rows)
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))


def with_pairs(plan: Plan, data: Path, cache: Path) -> Plan:
    """For `similarity_gain`: an arm for the target class with each other class, besides the arms of the plan."""
    if plan.analysis != "similarity_gain" or plan.target is None:
        return plan
    name = next(iter(plan.data))
    classes = whole(plan.data[name], name=name, root=data, cache=cache).classes
    classes = plan.data[name].classes or classes
    pairs = {f"with_{other}": Arm(known=(plan.target, other)) for other in classes if other != plan.target}
    return replace(plan, arms={**plan.arms, **pairs})
