"""What a manifest holds, in lines for a terminal: cases a split, and label states a class."""

from __future__ import annotations

import numpy as np

from la_medical.manifest.table import SPLITS, Manifest


def split_counts(manifest: Manifest) -> dict[str, int]:
    """Rows of each split that occurs, in the order train, val, test, blank ("")."""
    counts = manifest.table["split"].value_counts()
    return {split: int(counts[split]) for split in (*SPLITS, "") if split in counts}


def state_counts(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Rows of each label state (positive, negative, uncertain, unknown) for each class."""
    states = manifest.states()
    return {
        name: {
            "positive": int((states[:, k] == 1).sum()),
            "negative": int((states[:, k] == 0).sum()),
            "uncertain": int((states[:, k] == -1).sum()),
            "unknown": int(np.isnan(states[:, k]).sum()),
        }
        for k, name in enumerate(manifest.classes)
    }


def summary_lines(manifest: Manifest) -> list[str]:
    """Sources, splits, patients, and one line a class."""
    patients = manifest.table.loc[manifest.table["patient_id"] != "", ["source", "patient_id"]].drop_duplicates()
    without = int((manifest.table["patient_id"] == "").sum())
    sources = ", ".join(sorted(name or "(blank)" for name in manifest.table["source"].unique()))
    splits = ", ".join(f"{name or '(blank)'} {count}" for name, count in split_counts(manifest).items())
    lines = [
        f"{sources}: {len(manifest)} cases of {len(patients)} patients"
        + (f", {without} cases without a patient ID" if without else ""),
        f"splits: {splits}",
    ]
    width = max((len(name) for name in manifest.classes), default=0)
    lines += [
        f"  {name:<{width}}  " + "  ".join(f"{count:>7} {state}" for state, count in states.items())
        for name, states in state_counts(manifest).items()
    ]
    phantoms = sorted(name for name, card in manifest.cards.items() if card.phantom)
    return lines + ([f"PHANTOM: {', '.join(phantoms)} shows no patient"] if phantoms else [])
