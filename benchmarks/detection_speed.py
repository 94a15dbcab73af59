"""Speed of the detection evaluator beside picai_eval, on the same 512 x 512 x 200 volumes, in one run.

python benchmarks/detection_speed.py --peer-python /path/to/venv/bin/python [--cases 4] [--random 100] [--out FILE]

`--peer-python` (or LA_MEDICAL_PICAI_PYTHON) is the Python of a venv with `pip install picai-eval
report-guided-annotation`; without it only our own figures are measured, and the output says so. Each side runs in
its own process, so CPU seconds and peak memory are its own. `--random N` also compares lesion lists, AUROC and AP of
both on N random volumes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHAPE = (512, 512, 200)
GOAL_IN_RAM, GOAL_ON_DISK = 60.0, 1.3


def volume(seed: int, shape=SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Detection map (float32, a few constant blobs) and reference mask (uint8), both [x, y, z] in Fortran order."""
    rng = np.random.default_rng(seed)
    # written, not only reserved: untouched zero pages would all be read from one page in the cache
    detections = np.full(shape, 0, dtype=np.float32, order="F")
    mask = np.full(shape, 0, dtype=np.uint8, order="F")
    grid = np.indices((24, 24, 10))
    ball = ((grid[0] - 11.5) / 12) ** 2 + ((grid[1] - 11.5) / 12) ** 2 + ((grid[2] - 4.5) / 5) ** 2 <= 1
    corners = [tuple(int(rng.integers(0, n - m)) for n, m in zip(shape, ball.shape, strict=True)) for _ in range(3)]
    for number, (x, y, z) in enumerate(corners):
        box = np.s_[x : x + 24, y : y + 24, z : z + 10]
        if number < 2:
            mask[box][ball] = 1
        x = max(0, x - int(rng.integers(0, 8)))
        detections[np.s_[x : x + 24, y : y + 24, z : z + 10]][ball] = np.float32(rng.uniform(0.1, 1))
    return detections, mask


def used() -> tuple[float, float]:
    """CPU seconds and peak MiB of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def ours_in_ram(cases: int) -> dict:
    from la_medical.detection.candidates import find_candidates, reference_lesions
    from la_medical.detection.matching import match
    from la_medical.detection.plan import picai_protocol
    from la_medical.detection.volumes import ProbabilityMap
    from la_medical.grid import Grid

    protocol, grid = picai_protocol(), Grid(SHAPE, np.eye(4))

    def one(detections: np.ndarray, mask: np.ndarray) -> int:
        found = find_candidates(ProbabilityMap(detections, grid, single=True), protocol)
        matching = match(found.candidates, reference_lesions(mask.view(bool)), grid, protocol)
        return matching.outcome.count("tp")

    return timed_in_ram(one, cases)


def peer_in_ram(cases: int) -> dict:
    from picai_eval.eval import evaluate_case

    def one(detections: np.ndarray, mask: np.ndarray) -> int:
        results, *_ = evaluate_case(detections.T, mask.T)
        return sum(1 for lesion, confidence, _ in results if lesion and confidence > 0)

    return timed_in_ram(one, cases)


def timed_in_ram(one, cases: int) -> dict:
    detections, mask = volume(0)
    one(detections, mask)  # imports and first touch of the memory
    seconds, found = [], 0
    before = used()[1]
    for seed in range(cases):
        detections, mask = volume(seed)
        start = time.process_time()
        found += one(detections, mask)
        seconds.append(time.process_time() - start)
    return {"cpu_s_per_case": float(np.median(seconds)), "peak_mib": used()[1], "before_mib": before, "found": found}


def write_files(folder: Path, cases: int) -> dict:
    """Predictions as a network leaves them: a noisy background below 0.09 everywhere, and a few blobs."""
    from la_medical.detection.volumes import write_prediction

    for seed in range(cases):
        rng = np.random.default_rng(seed)
        smooth = rng.random((1, 64, 64, 25)).repeat(8, 1).repeat(8, 2).repeat(8, 3) * 0.09
        smooth[0] = np.maximum(smooth[0], volume(seed)[0])
        write_prediction(folder / f"{seed}.nii.gz", smooth, np.eye(4), ["pdac"])
    return {"files": cases}


def ours_on_disk(folder: Path, cases: int) -> dict:
    from la_medical.detection.candidates import find_candidates
    from la_medical.detection.protocol import Protocol
    from la_medical.detection.volumes import as_probabilities, open_volume

    def whole(path: Path) -> None:
        stored = open_volume(path)
        raw = next(stored.maps)
        find_candidates(as_probabilities(raw, stored.grid, stored.scale, path.name), Protocol())

    def bare(path: Path) -> None:
        gzip.decompress(path.read_bytes())

    paths = [folder / f"{seed}.nii.gz" for seed in range(cases)]
    whole(paths[0])
    peak = used()[1]
    seconds: dict[str, list[float]] = {"bare": [], "whole": []}
    for path in paths:
        for name, function in (("bare", bare), ("whole", whole), ("bare", bare), ("whole", whole)):
            start = time.process_time()
            function(path)
            seconds[name].append(time.process_time() - start)
    bare_s, whole_s = float(np.median(seconds["bare"])), float(np.median(seconds["whole"]))
    return {
        "bare_cpu_s": bare_s, "cpu_s_per_case": whole_s, "ratio": whole_s / bare_s,
        "file_bytes": paths[0].stat().st_size, "peak_mib": peak,
    }  # fmt: skip


def random_cases(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Small random detection maps of several separate, constant blobs, and random masks that overlap some of them."""
    cases = []
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)
        detections, mask = np.zeros((30, 28, 14), np.float32), np.zeros((30, 28, 14), np.uint8)
        for cell in rng.permutation(12)[: rng.integers(0, 9)]:
            x, y = 10 * (cell % 3), 7 * (cell // 3)
            a, b, c = rng.integers(2, (8, 6, 10))
            detections[x : x + a, y : y + b, 2 : 2 + c] = np.float32(rng.uniform(0.05, 1))
        for _ in range(int(rng.integers(0, 4))):
            x, y, z = (int(rng.integers(0, n - 8)) for n in mask.shape)
            a, b, c = rng.integers(2, 9, 3)
            mask[x : x + a, y : y + b, z : z + c] = 1
        cases.append((detections, mask))
    return cases


def softmax_cases(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth random maps, for the dynamic extractions."""
    cases = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        centres, heights = rng.integers(0, 24, (5, 3)), rng.uniform(0.05, 1, 5)
        grid = np.indices((24, 24, 24)).transpose(1, 2, 3, 0)
        bumps = [h * np.exp(-((grid - c) ** 2).sum(-1) / (2 * 2.5**2)) for c, h in zip(centres, heights, strict=True)]
        radius = 3.5 if seed % 2 else 0  # every other case has no lesion
        mask = (np.linalg.norm(grid - centres[0], axis=-1) < radius).astype(np.uint8)
        cases.append((np.max(bumps, axis=0).astype(np.float32), mask))
    return cases


def ours_lists(count: int, extraction: str) -> dict:
    from la_medical.detection.candidates import find_candidates, reference_lesions
    from la_medical.detection.froc import LesionResults, lesion_statistics
    from la_medical.detection.matching import match
    from la_medical.detection.plan import picai_protocol
    from la_medical.detection.volumes import ProbabilityMap
    from la_medical.grid import Grid
    from la_medical.statistics.auc import auroc

    protocol = picai_protocol(extraction=extraction)
    lists, truth, score, confidence, hit, patient, lesion_counts = [], [], [], [], [], [], []
    for number, (detections, mask) in enumerate(cases_for(extraction, count)):
        grid = Grid(detections.shape, np.eye(4))
        found = find_candidates(ProbabilityMap(np.asfortranarray(detections), grid, single=True), protocol)
        lesions = reference_lesions(np.asfortranarray(mask).view(bool))
        matching = match(found.candidates, lesions, grid, protocol)
        rows = []
        for column, one in enumerate(found.candidates):
            lesion = matching.lesion_of[column]
            if matching.outcome[column] != "duplicate":
                rows.append(
                    (int(lesion >= 0), one.confidence, float(matching.iou[lesion, column]) if lesion >= 0 else 0.0)
                )
                confidence.append(one.confidence)
                hit.append(lesion >= 0)
                patient.append(number)
        rows += [(1, 0.0, 0.0)] * (len(lesions) - matching.outcome.count("tp"))
        lists.append(sorted(rows))
        truth.append(int(bool(lesions)))
        score.append(max((one.confidence for one in found.candidates), default=0.0))
        lesion_counts.append(len(lesions))
    order = np.argsort(-np.array(confidence), kind="stable")
    results = LesionResults(
        np.array(confidence)[order], np.array(hit)[order], np.array(patient)[order],
        np.array(lesion_counts, float), np.ones(count),
    )  # fmt: skip
    return {
        "lists": lists,
        "auroc": auroc(truth, score),
        "ap": float(lesion_statistics(results, (1,), np.ones((1, count)))[-1, 0]),
    }


def peer_lists(count: int, extraction: str) -> dict:
    from picai_eval import evaluate

    cases = cases_for(extraction, count)
    after = None
    if extraction != "detection-map":
        from report_guided_annotation import extract_lesion_candidates

        def after(softmax: np.ndarray) -> np.ndarray:
            return extract_lesion_candidates(softmax, threshold=extraction)[0]

    metrics = evaluate(
        y_det=[one.T for one, _ in cases], y_true=[one.T for _, one in cases], num_parallel_calls=1,
        y_det_postprocess_func=after,
    )  # fmt: skip
    lists = [sorted((int(a), float(b), float(c)) for a, b, c in metrics.lesion_results[n]) for n in range(count)]
    return {"lists": lists, "auroc": float(metrics.auroc), "ap": float(metrics.AP)}


def cases_for(extraction: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return random_cases(count) if extraction == "detection-map" else softmax_cases(count)


def in_process(python: str, what: str, count: int, extraction: str = "-", folder: str = ".") -> dict:
    """Run one part of this file in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, __file__, "--part", what, "--cases", str(count), "--extraction", extraction, "--folder", folder],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def same_lists(mine: dict, theirs: dict) -> dict:
    equal = [
        len(a) == len(b)
        and all(
            x[0] == y[0] and x[1] == y[1] and math.isclose(x[2], y[2], abs_tol=1e-7) for x, y in zip(a, b, strict=True)
        )
        for a, b in zip(mine["lists"], theirs["lists"], strict=True)
    ]
    return {
        "cases": len(equal), "lists_equal": sum(equal),
        "auroc_difference": abs(mine["auroc"] - theirs["auroc"]), "ap_difference": abs(mine["ap"] - theirs["ap"]),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer-python", default=os.environ.get("LA_MEDICAL_PICAI_PYTHON"))
    p.add_argument("--cases", type=int, default=5)
    p.add_argument("--random", type=int, default=100)
    p.add_argument("--out", type=Path)
    p.add_argument("--part", help=argparse.SUPPRESS)
    p.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--extraction", default="detection-map", help=argparse.SUPPRESS)
    a = p.parse_args()
    parts = {
        "ours-ram": lambda: ours_in_ram(a.cases), "peer-ram": lambda: peer_in_ram(a.cases),
        "ours-disk": lambda: ours_on_disk(a.folder, a.cases), "write": lambda: write_files(a.folder, a.cases),
        "ours-lists": lambda: ours_lists(a.cases, a.extraction),
        "peer-lists": lambda: peer_lists(a.cases, a.extraction),
    }  # fmt: skip
    if a.part:
        print(json.dumps(parts[a.part]()))
        return
    result: dict = {"shape": SHAPE, "ours_in_ram": in_process(sys.executable, "ours-ram", a.cases)}
    with tempfile.TemporaryDirectory() as folder:
        in_process(sys.executable, "write", a.cases, folder=folder)
        result["ours_on_disk"] = in_process(sys.executable, "ours-disk", a.cases, folder=folder)
    disk = result["ours_on_disk"]
    print(
        f"from .nii.gz: {disk['cpu_s_per_case']:.3f} s CPU a case, {disk['ratio']:.2f} times bare reading "
        f"and decompressing ({disk['bare_cpu_s']:.3f} s; goal {GOAL_ON_DISK}); peak {disk['peak_mib']:.0f} MiB"
    )  # fmt: skip
    if not a.peer_python:
        print(f"in RAM: {result['ours_in_ram']['cpu_s_per_case']:.4f} s CPU a case")
        print("picai_eval SKIPPED: give --peer-python")
    else:
        peer, mine = in_process(a.peer_python, "peer-ram", a.cases), result["ours_in_ram"]
        result["picai_eval_in_ram"] = peer
        result["ratio_in_ram"] = peer["cpu_s_per_case"] / mine["cpu_s_per_case"]
        print(f"in RAM: {mine['cpu_s_per_case']:.4f} s CPU a case against {peer['cpu_s_per_case']:.3f} s of "
              f"picai_eval: {result['ratio_in_ram']:.0f} times (goal {GOAL_IN_RAM:g}); peak {mine['peak_mib']:.0f} "
              f"against {peer['peak_mib']:.0f} MiB; found {mine['found']} and {peer['found']} lesions")  # fmt: skip
        for extraction in ("detection-map", "dynamic", "dynamic-fast"):
            mine_lists = in_process(sys.executable, "ours-lists", a.random, extraction)
            found = same_lists(mine_lists, in_process(a.peer_python, "peer-lists", a.random, extraction))
            result[f"against_picai_{extraction}"] = found
            print(f"{extraction}: {found['lists_equal']} of {found['cases']} lesion lists equal, AUROC differs by "
                  f"{found['auroc_difference']:.1e}, AP by {found['ap_difference']:.1e}")  # fmt: skip
    if a.out:
        a.out.parent.mkdir(parents=True, exist_ok=True)
        a.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
