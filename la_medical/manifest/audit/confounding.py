"""How far the source alone gives a class away: Cramer's V, and the AUC of the source's own prevalence as a score."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.manifest.audit.checks import CANNOT, PASSED, WARNING, Check
from la_medical.manifest.audit.coverage import state_counts
from la_medical.manifest.table import Manifest

WARN_AUC = 0.6
WARN_V = 0.1
"""From here on a class is named: 0.1 is what Cohen (1988) calls a small effect for a 2 x k table."""


def confounding(manifest: Manifest) -> list[dict[str, Any]]:
    """One entry a class, over the sources that know it (positives and negatives; uncertain ones are left out).

    Keys: `class`, `sources`, `positives`, `negatives`, `cramers_v`, `source_auc`, `reason` (why a figure is null).
    """
    sources, counts = state_counts(manifest)
    entries = []
    for column, label in enumerate(manifest.classes):
        positive, negative = counts[:, column, 0], counts[:, column, 1]
        knowing = positive + negative > 0
        reason = _undefined(positive, negative)
        entries.append(
            {
                "class": label,
                "sources": [name for name, knows in zip(sources, knowing, strict=True) if knows],
                "positives": int(positive.sum()),
                "negatives": int(negative.sum()),
                "cramers_v": None if reason else round(cramers_v(positive[knowing], negative[knowing]), 6),
                "source_auc": None if reason else round(source_auc(positive, negative), 6),
                "reason": reason,
            }
        )
    return entries


def cramers_v(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> float:
    """Cramer's V of a (2, S) table, sqrt(chi2 / n) since one side has two states; no bias correction."""
    table = np.stack([positive, negative]).astype(np.float64)
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    return float(math.sqrt(((table - expected) ** 2 / expected).sum() / total))


def source_auc(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> float:
    """AUC of scoring each case with its source's share of positives: the worth of the source. Ties count half."""
    known = positive + negative > 0
    hit, miss = positive[known].astype(np.float64), negative[known].astype(np.float64)
    score = hit / (hit + miss)
    above = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
    return float(hit @ above @ miss / (hit.sum() * miss.sum()))


def confounded(manifest: Manifest, entries: list[dict[str, Any]]) -> Check:
    """A warning that names the classes whose frequency depends on the source."""
    name = "source-class confounding"
    if manifest.table["source"].nunique() < 2:
        return Check(name, PASSED, "one source only: a class cannot depend on the source")
    defined = [entry for entry in entries if entry["reason"] is None]
    if not defined:
        return Check(name, CANNOT, "no class is known, with positives and negatives, by two sources")
    strong = [entry for entry in defined if entry["source_auc"] >= WARN_AUC or entry["cramers_v"] >= WARN_V]
    if not strong:
        return Check(name, PASSED, f"no class reaches V {WARN_V} or AUC {WARN_AUC} from the source alone")
    said = [f"{e['class']} (V {e['cramers_v']:.2f}, AUC {e['source_auc']:.2f})" for e in strong]
    message = "the source alone tells: " + ", ".join(said) + "; report these classes per source, not pooled"
    return Check(name, WARNING, message, len(strong))


def _undefined(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> str | None:
    if not positive.sum():
        return "no known positive"
    if not negative.sum():
        return "no known negative"
    if int((positive + negative > 0).sum()) < 2:
        return "only one source knows this class"
    return None
