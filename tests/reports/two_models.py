"""Two folders as `evaluate` writes them, of made-up models whose counts are known."""

from __future__ import annotations

import json

import pandas as pd

from la_medical.artifacts import sha256_of

EVIL = "=<b>p</b>"


def _figure(estimate, numerator=None, denominator=None):
    return {"estimate": estimate, "low": 0.0, "high": 1.0, "numerator": numerator, "denominator": denominator,
            "method": "Clopper-Pearson exact 95%", "reason": None}  # fmt: skip


def _folder(path, called):
    """`called`: whether each of 12 patients is called; the first 6 have the class."""
    path.mkdir(parents=True)
    truth = [n < 6 for n in range(12)]
    patients = pd.DataFrame(
        {
            "patient_id": [EVIL if n == 0 else f"p{n:02d}" for n in range(12)], "source": "phantom", "split": "test",
            "reference_class": ["pdac" if t else "normal" for t in truth], "case_ids": [f"c{n:02d}" for n in range(12)],
            "prediction": "ok", "class": "pdac", "truth": truth,
            "score": [0.6 + n / 100 if c else 0.1 + n / 100 for n, c in enumerate(called)],
            "diameter_mm": [10.0 if t else None for t in truth], "called": pd.array(called, dtype="boolean"),
            "located": pd.array([c and t for c, t in zip(called, truth, strict=True)], dtype="boolean"),
            "outcome": ["TP" if t and c else "FN" if t else "FP" if c else "TN"
                        for t, c in zip(truth, called, strict=True)],
        }
    )  # fmt: skip
    patients.to_parquet(path / "patients.parquet", index=False)
    right = sum(called[:6])
    entry = {
        "counts": {"positives": 6, "controls": 6},
        "auroc": _figure(0.8),
        "sensitivity": _figure(right / 6, right, 6),
    }
    metrics = {
        "split": "test", "phantom": True, "classes": {"pdac": entry}, "manifest": {"sha256": "x"},
        "patients": {"without_prediction": [], "missing_policy": "error", "patient_ids_known": True},
        "files": {"patients.parquet": sha256_of(path / "patients.parquet")},
    }  # fmt: skip
    (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def two_models(root):
    """Of six with the class A finds five and B two of those; both call one control."""
    a = _folder(root / "first" / "report", [True] * 5 + [False] + [True] + [False] * 5)
    b = _folder(root / "second" / "report", [False] * 3 + [True] * 2 + [False] + [False] * 5 + [True])
    return a, b
