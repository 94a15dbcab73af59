"""Full statistics of a large cohort: 10,000 cases of candidates, 2,000 bootstraps, beside picai_eval's bootstrap.

python benchmarks/detection_cohort.py [--cases 10000] [--bootstraps 2000] [--peer-python PYTHON] [--out FILE]

Goals: under 20 s and 1.5 GiB. picai_eval resamples in a Python loop; its time is measured on 5 replicates and stated
per 2,000. Its Python is given by --peer-python or LA_MEDICAL_PICAI_PYTHON; without it that line is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GOAL_S, GOAL_GIB, PEER_REPLICATES = 20.0, 1.5, 5


def write_cohort(folder: Path, cases: int) -> None:
    """A candidates folder: a fifth of the cases positive, one lesion each, about four false candidates a case."""
    import pandas as pd

    from la_medical.detection.protocol import Protocol
    from la_medical.detection.tables import CANDIDATE_COLUMNS, LESION_COLUMNS, frame_of, write_tables

    rng = np.random.default_rng(0)
    who = [{"case_id": f"c{n}", "patient_id": f"p{n}", "source": "a", "split": "val" if n % 2 else "test"}
           for n in range(2 * cases)]  # fmt: skip
    candidates, lesions, patients = [], [], []
    for number, one in enumerate(who):
        positive = number % 10 < 2
        size = {"volume_mm3": 900.0, "diameter_mm": float(rng.uniform(5, 60)), "class": "pdac"}
        found = positive and rng.random() < 0.9
        scores = rng.beta(1, 4, rng.integers(2, 7)).round(6).tolist()
        hits = [round(rng.beta(4, 2), 6)] if found else []
        candidates += [{**one, **size, "confidence": s, "outcome": "fp", "matched": False} for s in scores]
        candidates += [
            {**one, **size, "confidence": s, "outcome": "tp", "matched": True, "reference_id": 1} for s in hits
        ]
        if positive:
            lesions.append({**one, **size, "reference_id": 1, "found": found})
        best = max([*scores, *hits])
        kinds = {f"{kind}.pdac": best for kind in ("max_candidate", "max_voxel", "volume", "score")}
        patients.append({**one, "cases": 1, "case_ids": one["case_id"],
                         "reference_class": "pdac" if positive else "normal",
                         "prediction": "ok", "cases_without_prediction": 0, "problem": "", "site": f"s{number % 7}",
                         "phase": "", "sex": "MF"[number % 2], "age": str(30 + number % 60),
                         "label.pdac": int(positive), "volumes_known.pdac": 1, **kinds})  # fmt: skip
    tables = {
        "candidates": frame_of(candidates, CANDIDATE_COLUMNS),
        "lesions": frame_of(lesions, LESION_COLUMNS),
        "patients": pd.DataFrame(patients).drop(columns="case_id").astype({"label.pdac": "Int8"}),
    }
    about = {"schema_version": 1, "classes": ["pdac"], "protocol": Protocol().to_dict(), "prediction_form": "channels",
             "manifest": {"name": "m.csv", "sha256": "0"}, "patients_known": True, "phantom": True, "resampled": {},
             "reference_problems": {}, "positive_rule": ""}  # fmt: skip
    write_tables(folder, tables, about)


def ours(folder: Path, bootstraps: int) -> dict:
    from la_medical.detection.evaluate import evaluate, write_evaluation
    from la_medical.detection.operating_point import choose, write_point
    from la_medical.detection.resampling import Settings
    from la_medical.detection.tables import read_candidates

    start, cpu = time.monotonic(), time.process_time()
    write_point(choose(read_candidates(folder), "pdac", specificity=0.98), folder / "point.json")
    evaluation = evaluate(folder, points=[folder / "point.json"], settings=Settings(bootstraps=bootstraps))
    write_evaluation(evaluation, folder / "out")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"wall_s": time.monotonic() - start, "cpu_s": time.process_time() - cpu, "peak_gib": peak,
            "patients": evaluation.metrics["patients"]["total"]}  # fmt: skip


PEER = """
import csv, json, sys, time
from picai_eval.metrics import Metrics
lists, replicates = {}, int(sys.argv[2])
for row in csv.DictReader(open(sys.argv[1])):
    lists.setdefault(row["case_id"], []).append((int(row["lesion"]), float(row["confidence"]), 0.5))
start = time.process_time()
Metrics(lesion_results=lists).bootstrap_score_ci(n_bootstraps=replicates, seed=0)
print(json.dumps({"cpu_s_per_replicate": (time.process_time() - start) / replicates}))
"""


def peer(python: str, folder: Path) -> dict:
    """picai_eval's AUROC and AP intervals only, on the same lists."""
    import pandas as pd

    frame = pd.read_parquet(folder / "candidates.parquet")
    frame = frame[frame["split"] == "test"].assign(lesion=lambda rows: (rows["outcome"] == "tp").astype(int))
    frame[["case_id", "lesion", "confidence"]].to_csv(folder / "lists.csv", index=False)
    done = subprocess.run([python, "-c", PEER, str(folder / "lists.csv"), str(PEER_REPLICATES)],
                          check=True, capture_output=True, text=True)  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cases", type=int, default=10_000)
    p.add_argument("--bootstraps", type=int, default=2000)
    p.add_argument("--peer-python", default=os.environ.get("LA_MEDICAL_PICAI_PYTHON"))
    p.add_argument("--out", type=Path)
    p.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.folder:
        print(json.dumps(ours(a.folder, a.bootstraps)))
        return
    with tempfile.TemporaryDirectory() as name:
        write_cohort(Path(name), a.cases)
        done = subprocess.run([sys.executable, __file__, "--folder", name, "--bootstraps", str(a.bootstraps)],
                              check=True, capture_output=True, text=True)  # fmt: skip
        result = {"cases": a.cases, "bootstraps": a.bootstraps, "ours": json.loads(done.stdout.splitlines()[-1])}
        mine = result["ours"]
        print(f"{a.cases} cases, {a.bootstraps} bootstraps: {mine['wall_s']:.1f} s (CPU {mine['cpu_s']:.1f} s; goal "
              f"{GOAL_S:g}), peak {mine['peak_gib']:.2f} GiB (goal {GOAL_GIB})")  # fmt: skip
        if a.peer_python:
            result["picai_eval"] = peer(a.peer_python, Path(name))
            seconds = result["picai_eval"]["cpu_s_per_replicate"] * a.bootstraps
            print(
                f"picai_eval, AUROC and AP only: {seconds:.0f} s CPU for as many ({seconds / mine['cpu_s']:.0f} times)"
            )
        else:
            print("picai_eval SKIPPED: give --peer-python")
    if a.out:
        a.out.parent.mkdir(parents=True, exist_ok=True)
        a.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
