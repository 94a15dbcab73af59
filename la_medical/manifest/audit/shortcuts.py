"""What trivial statistics of the image files reach: the floor that a network's AUC has to be read against.

Logistic regression (L2, C = 1, standardised features), cross-validated by group, so that no patient is on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.manifest.audit.checks import CANNOT, PASSED, WARNING, Check
from la_medical.manifest.audit.inspection import Inspection
from la_medical.manifest.groups import groups
from la_medical.manifest.table import Manifest
from la_medical.statistics.auc import delong

FOLDS = 5
FEWEST = 10
"""Positives, negatives and groups of each that a target needs; with fewer the figure would mean nothing."""
MOST_ROWS = 20_000
"""Larger sets are drawn from, with the seed: the figure is then known to the second decimal anyway."""
FEATURE_SETS = ("statistics", "thumbnail", "both")
SHOWN = "statistics"
WARN_LOW = 0.6
"""A class is named when the lower bound of its interval is above this."""


def shortcuts(manifest: Manifest, found: Sequence[Inspection], *, seed: int = 0) -> dict[str, Any]:
    """Entries for each class over all sources, within each source where several know it, and for each source against
    the rest.

    Each entry: `target` (`class` or `source`), `name`, `source` (null for all), `n`, `positives`, `negatives`,
    `groups`, `auc`, `low`, `high` (of the statistics), `reason`, and `feature_sets`: the same three figures for the
    file's statistics, for the 8 x 8 thumbnail, and for both together.
    """
    features = {name: _matrix(found, name) for name in FEATURE_SETS}
    usable = np.array([bool(one.statistics) for one in found], dtype=bool)
    group = groups(manifest)
    source = manifest.table["source"].to_numpy()
    names = sorted(set(source))
    states = manifest.states()
    entries = []
    for column, label in enumerate(manifest.classes):
        known = usable & ((states[:, column] == 0) | (states[:, column] == 1))
        truth = states[:, column] == 1
        entries.append(_entry("class", label, None, known, truth, features, group, seed))
        knowing = [name for name in names if (known & (source == name)).any()]
        if len(knowing) > 1:
            entries += [
                _entry("class", label, str(name), known & (source == name), truth, features, group, seed)
                for name in knowing
            ]
    if len(names) > 1:
        entries += [_entry("source", str(name), None, usable, source == name, features, group, seed) for name in names]
    return {
        "method": f"logistic regression, {FOLDS}-fold cross-validation by patient, out-of-fold scores pooled; "
        "interval: DeLong 95%, cases taken as independent",
        "rows": int(usable.sum()),
        "entries": entries,
    }


def shortcut_check(result: dict[str, Any] | None, why_not: str = "") -> Check:
    """A warning that names every class and source the statistics alone can tell."""
    name = "shortcut baseline"
    if result is None:
        return Check(name, CANNOT, why_not)
    defined = [entry for entry in result["entries"] if entry["auc"] is not None]
    if not defined:
        return Check(name, CANNOT, f"no class has {FEWEST} positives and {FEWEST} negatives with readable images")
    telling = [entry for entry in defined if _best(entry)["low"] > WARN_LOW]
    if not telling:
        return Check(
            name, PASSED, f"trivial image statistics tell no class or source (no lower bound above {WARN_LOW})"
        )
    said = ", ".join(
        f"{entry['target']} {entry['name']}" + (f" in {entry['source']}" if entry["source"] else "")
        + f" {_best(entry)['auc']:.3f}"
        for entry in telling
    )  # fmt: skip
    message = f"file statistics or an 8 x 8 thumbnail alone reach AUC: {said}; a network's AUC says little below these"
    return Check(name, WARNING, message, len(telling))


def _best(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = max(entry["feature_sets"].values(), key=lambda figures: figures["low"])
    return found


def _matrix(found: Sequence[Inspection], name: str) -> NDArray[np.float64]:
    """(N, F); what a row does not have (a spacing, a finite mean) is the mean of the others."""
    rows = [
        {**(one.statistics if name != "thumbnail" else {}), **(one.thumbnail if name != "statistics" else {})}
        for one in found
    ]
    columns = sorted({key for row in rows for key in row})
    matrix = np.array([[row.get(key, np.nan) for key in columns] for row in rows], dtype=np.float64)
    matrix = matrix.reshape(len(rows), len(columns))
    missing = ~np.isfinite(matrix)
    counts = (~missing).sum(axis=0)
    means = np.where(missing, 0.0, matrix).sum(axis=0) / np.maximum(counts, 1)
    return np.where(missing, means, matrix)


def _entry(
    target: str,
    name: str,
    source: str | None,
    rows: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    features: dict[str, NDArray[np.float64]],
    group: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    chosen = _drawn(np.flatnonzero(rows), seed)
    y, who = truth[chosen], group[chosen]
    entry: dict[str, Any] = {
        "target": target,
        "name": name,
        "source": source,
        "n": len(chosen),
        "positives": int(y.sum()),
        "negatives": int((~y).sum()),
        "groups": len(np.unique(who)),
        "auc": None,
        "low": None,
        "high": None,
        "reason": _too_few(y, who),
        "feature_sets": {},
    }
    if entry["reason"] is None:
        fold = _folds(y, who, seed)
        for kind, matrix in features.items():
            entry["feature_sets"][kind] = _figures(matrix[chosen], y, fold)
        entry.update(entry["feature_sets"][SHOWN])
    return entry


def _drawn(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def _too_few(y: NDArray[np.bool_], who: NDArray[np.int64]) -> str | None:
    for kind, rows in (("positives", y), ("negatives", ~y)):
        if int(rows.sum()) < FEWEST or len(np.unique(who[rows])) < FEWEST:
            return f"{int(rows.sum())} {kind} of {len(np.unique(who[rows]))} patients; at least {FEWEST} are needed"
    return None


def _folds(y: NDArray[np.bool_], who: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Fold of each row (n,): groups in a random order, those with a positive first, dealt in turn."""
    codes = np.unique(who, return_inverse=True)[1]
    positive = np.bincount(codes, weights=y) > 0
    order = np.lexsort((np.random.default_rng(seed).random(len(positive)), ~positive))
    fold = np.empty(len(positive), dtype=np.int64)
    fold[order] = np.arange(len(positive)) % FOLDS
    return fold[codes]


def _figures(matrix: NDArray[np.float64], y: NDArray[np.bool_], fold: NDArray[np.int64]) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    score = np.empty(len(y))
    with threadpool_limits(1):  # matrices this small lose more to waiting threads than they gain
        for part in range(FOLDS):
            held = fold == part
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=100))
            score[held] = model.fit(matrix[~held], y[~held]).decision_function(matrix[held])
    found = delong(y, np.round(score, 6))
    return {"auc": round(found.estimate, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
