"""Which source knows which class: counts of each label state, and classes that a source shows from one side only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.manifest.audit.checks import CANNOT, FAILED, PASSED, WARNING, Check, case_ids, concerning
from la_medical.manifest.table import Manifest

STATES = ("positive", "negative", "uncertain", "unknown")


def state_counts(manifest: Manifest) -> tuple[list[str], NDArray[np.int64]]:
    """Sources (S) in sorted order, and counts (S, K, 4) of `STATES`."""
    codes, names = pd.factorize(manifest.table["source"], sort=True)
    states = manifest.states()
    counts = np.zeros((len(names), states.shape[1], len(STATES)), dtype=np.int64)
    for column in range(states.shape[1]):
        values = states[:, column]
        for position, chosen in enumerate((values == 1, values == 0, values == -1, np.isnan(values))):
            counts[:, column, position] = np.bincount(codes[chosen], minlength=len(names))
    return [str(name) for name in names], counts


def coverage(manifest: Manifest) -> list[dict[str, Any]]:
    """One entry a source and class: `source`, `class`, `rows` and a count for each of `STATES`."""
    sources, counts = state_counts(manifest)
    return [
        {
            "source": source,
            "class": label,
            "rows": int(counts[row, column].sum()),
            **{state: int(counts[row, column, position]) for position, state in enumerate(STATES)},
        }
        for row, source in enumerate(sources)
        for column, label in enumerate(manifest.classes)
    ]


def one_sided(manifest: Manifest) -> Check:
    """Classes of which a source has positives only or negatives only: there the source gives the label away."""
    sources, counts = state_counts(manifest)
    positive, negative = counts[:, :, 0], counts[:, :, 1]
    found = []
    for row, column in np.argwhere((positive > 0) != (negative > 0)):
        kind = "positives" if positive[row, column] else "negatives"
        found.append(f"{sources[row] or '(no source)'} has only {kind} of {manifest.classes[column]}")
    name = "one-sided classes"
    if not found:
        return Check(name, PASSED, "every source has positives and negatives of each class it knows")
    return Check(
        name, WARNING, "; ".join(found) + ": no AUC there, and pooled with others the source is a clue", len(found)
    )


def known_labels(manifest: Manifest) -> Check:
    """Whether each row says anything about any class."""
    silent = np.flatnonzero(np.isnan(manifest.states()).all(axis=1))
    if not manifest.classes:
        return Check("known labels", CANNOT, "the manifest has no label column")
    if not len(silent):
        return Check("known labels", PASSED, "every case has at least one known label")
    return concerning("known labels", WARNING, "cases without any known label", case_ids(manifest, silent))


def label_relations(manifest: Manifest) -> Check:
    """Known labels against `union_of` and `excludes` of the label space."""
    from la_medical.labels import contradictions

    name = "label relations"
    space = manifest.space
    related = [label.name for label in space.classes if label.union_of or label.excludes]
    if not related:
        return Check(name, PASSED, "the classes of this manifest have no relations to contradict")
    broken = contradictions(manifest.states(), space)
    if not broken:
        return Check(name, PASSED, "no label contradicts union_of or excludes")
    rows: NDArray[np.bool_] = np.zeros(len(manifest), dtype=bool)
    said = []
    for one, other, where in broken:
        rows |= where
        what = f"{one} against its members" if other == "union" else f"{one} together with {other}"
        said.append(f"{what}: {int(where.sum())}")
    message = "labels contradict the label space: " + "; ".join(said)
    return concerning(name, FAILED, message, case_ids(manifest, np.flatnonzero(rows)))
