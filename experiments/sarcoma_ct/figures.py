"""Figures of the folds: Dice, hits and false positives of the network and of the control, view by view."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from control import dice, fitted

from la_medical.manifest import read_manifest
from la_medical.statistics.intervals import clopper_pearson

HIT = 0.1
LEVEL = 0.5


def figures_of(folder: Path, seed: int, fold: int) -> pd.DataFrame:
    """One row a view: Dice of both, IoU of both, false candidates. The control is fitted on this fold's training."""
    training = read_manifest(folder / "train.csv")
    training = training.rows(["train", "val"])
    sarcoma = training.table["source"].ne("abdomen_ct").to_numpy()
    files = [path for path, own in zip(training.file_paths("mask"), sarcoma, strict=True) if own]
    loaded = [nibabel.load(path) for path in files]
    control = fitted([np.asanyarray(i.dataobj) > 0 for i in loaded], [i.header.get_zooms() for i in loaded])
    views = read_manifest(folder / "views.csv")
    candidates = pd.read_parquet(folder / "candidates" / "candidates.parquet")
    lesions = pd.read_parquet(folder / "candidates" / "lesions.parquet").set_index("case_id")
    channel = json.loads((folder / "predictions" / "labels.json").read_text())["channels"].index("sarcoma")
    rows = []
    for case, path in zip(views.table["case_id"], views.file_paths("mask"), strict=True):
        mask = nibabel.load(path)
        truth = np.asanyarray(mask.dataobj) > 0
        answer = np.asanyarray(nibabel.load(folder / "predictions" / f"{case}.nii.gz").dataobj[..., channel]) >= LEVEL
        drawn = control.draw(truth.shape, mask.header.get_zooms())
        own = candidates[candidates["case_id"] == case]
        found = case in lesions.index and truth.any()
        rows.append({
            "seed": seed, "fold": fold, "patient": case.split("__")[0], "view": case.split("__")[1],
            "tumour_ml": truth.sum() * float(np.prod(mask.header.get_zooms())) / 1000,
            "dice": dice(answer, truth) if truth.any() else np.nan,
            "iou": float(np.nan_to_num(lesions["iou"].fillna(0).loc[case])) if found else np.nan,
            "false_positives": int((own["matched"] == False).sum()),  # noqa: E712 - missing means neither
            "control_dice": dice(drawn, truth) if truth.any() else np.nan,
            "control_iou": iou(drawn, truth) if truth.any() else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


def summary(rows: pd.DataFrame) -> str:
    """The tables in Markdown, as measured."""
    rows = rows.assign(kind=rows["view"].str.split("_").str[0])
    lines = [
        "| view | n | Dice, mean (95% bootstrap interval) | control | hits, IoU >= 0.1 (exact 95% interval) "
        "| control | hits, IoU >= 0.3 | false positives a volume |",
        "|---|---|---|---|---|---|---|---|",
    ]
    named = {"whole": "whole file", "off": "off-centre crops"}
    for kind, title in named.items():
        own = rows[rows["kind"] == kind]
        low, high = interval(own)
        n, hits, control = len(own), int((own["iou"] >= HIT).sum()), int((own["control_iou"] >= HIT).sum())
        exact = clopper_pearson(hits, n)
        lines.append(
            f"| {title} | {n} | {own['dice'].mean():.3f} ({low:.3f} to {high:.3f}) | {own['control_dice'].mean():.3f} "
            f"| {hits}/{n} ({exact[0]:.3f} to {exact[1]:.3f}) | {control}/{n} | {int((own['iou'] >= 0.3).sum())}/{n} | "
            f"{own['false_positives'].mean():.2f} |"
        )
    slabs = rows[rows["kind"] == "slab"]
    wrong = int((slabs["false_positives"] > 0).sum())
    exact = clopper_pearson(wrong, len(slabs))
    lines += ["", f"Slabs without tumour: {wrong} of {len(slabs)} with a false positive (exact 95% interval "
              f"{exact[0]:.3f} to {exact[1]:.3f}); the control marks all {len(slabs)}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def interval(rows: pd.DataFrame, draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap of the mean Dice over patients, all of a patient's volumes together."""
    by_patient = [group["dice"].to_numpy() for _, group in rows.groupby("patient")]
    generator = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        picks = generator.integers(len(by_patient), size=len(by_patient))
        means.append(np.concatenate([by_patient[p] for p in picks]).mean())
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
