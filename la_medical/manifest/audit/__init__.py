"""The audit of a manifest: can its labels, its files and its splits be trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from la_medical.manifest.audit.checks import CANNOT, FAILED, PASSED, WARNING, Check
from la_medical.manifest.audit.confounding import confounded, confounding
from la_medical.manifest.audit.coverage import coverage, known_labels, label_relations, one_sided
from la_medical.manifest.audit.files import file_checks, series_checks
from la_medical.manifest.audit.inspection import inspect_files
from la_medical.manifest.audit.leakage import leakage_checks
from la_medical.manifest.audit.masks import mask_checks
from la_medical.manifest.audit.result import Audit
from la_medical.manifest.audit.shortcuts import shortcut_check, shortcuts
from la_medical.manifest.table import Manifest

__all__ = ["CANNOT", "FAILED", "PASSED", "WARNING", "Audit", "Check", "audit"]


def audit(
    manifest: Manifest,
    *,
    labels_only: bool = False,
    with_shortcuts: bool = True,
    workers: int = 1,
    seed: int = 0,
    table_checks: Sequence[Check] = (),
) -> Audit:
    """Run every check.

    Args:
        manifest: what to look at.
        labels_only: open no file; what needs one "cannot be checked".
        with_shortcuts: fit the shortcut baseline.
        workers: processes that open files.
        seed: of the draw of rows for the shortcut baseline of a very large manifest.
        table_checks: what reading the table found, see `reading.read_for_audit`.
    """
    found = None if labels_only else inspect_files(manifest, workers=workers)
    confounds = confounding(manifest)
    trivial, why_not = None, "labels only: no image was opened"
    if found is not None:
        why_not = "left out with --no-shortcuts"
        if with_shortcuts:
            trivial = shortcuts(manifest, found, seed=seed)
    checks = [
        *table_checks,
        *file_checks(manifest, found),
        *series_checks(manifest, found),
        *mask_checks(manifest, found),
        known_labels(manifest),
        label_relations(manifest),
        *leakage_checks(manifest, found),
        one_sided(manifest),
        confounded(manifest, confounds),
        shortcut_check(trivial, why_not),
    ]
    return Audit(_about(manifest), tuple(checks), coverage(manifest), confounds, trivial)


def _about(manifest: Manifest) -> dict[str, Any]:
    sources = manifest.table["source"].value_counts().sort_index()
    splits = manifest.table["split"].value_counts().sort_index()
    return {
        "name": manifest.path.name if manifest.path else "",
        "rows": len(manifest),
        "classes": list(manifest.classes),
        "sources": {str(name): int(count) for name, count in sources.items()},
        "splits": {str(name) or "(blank)": int(count) for name, count in splits.items()},
        "phantom": any(card.phantom for card in manifest.cards.values()),
    }
