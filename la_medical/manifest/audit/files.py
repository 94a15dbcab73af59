"""Files that are missing, empty or cut short, and what their DICOM series were found to have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from la_medical.dicom.faults import REFUSES, WARNS
from la_medical.manifest.audit.checks import CANNOT, FAILED, WARNING, Check, case_ids, concerning, passed_unless
from la_medical.manifest.audit.inspection import Inspection
from la_medical.manifest.table import Manifest

SUMMARY = "series geometry"
KINDS = ("missing", "empty", "unreadable")
FAULTS_COLUMN = "faults"
"""Metadata column of a series table: names of `la_medical.dicom.faults`, separated by `;`."""


def file_checks(manifest: Manifest, found: Sequence[Inspection] | None) -> list[Check]:
    """One check each for files that are missing, that are empty, and that cannot be decoded whole."""
    checks = []
    for kind in KINDS:
        name = f"{kind} files"
        if found is None:
            checks.append(Check(name, CANNOT, "labels only: no file was opened"))
            continue
        rows = [row for row, one in enumerate(found) if one.image.startswith(kind) or one.mask.startswith(kind)]
        bad = f"images or masks are {kind}"
        if rows:
            first = found[rows[0]]
            why = (first.image if first.image.startswith(kind) else first.mask).removeprefix(kind).lstrip(": ")
            bad += f" (the first: {why})" if why else ""
        checks.append(passed_unless(name, case_ids(manifest, rows), f"no file is {kind}", bad))
    return checks


def series_checks(manifest: Manifest, found: Sequence[Inspection] | None) -> list[Check]:
    """One check for each DICOM fault that occurs, and one that says whether any series may not be read as a volume.

    Faults come from the column `faults`, as `la-medical scan` writes it, and from the headers of single DICOM images.
    """
    stated = FAULTS_COLUMN in manifest.table
    rows: dict[str, list[int]] = {}
    if stated:
        column = manifest.table[FAULTS_COLUMN]
        for place in np.flatnonzero((column != "").to_numpy()):
            for fault in column.iloc[place].split(";"):
                rows.setdefault(fault.strip(), []).append(int(place))
    for row, one in enumerate(found or ()):
        for fault in one.faults:
            if row not in rows.setdefault(fault, []):
                rows[fault].append(row)
    rows.pop("", None)
    if not rows and not stated:
        return []
    summary = Check(SUMMARY, CANNOT, "the manifest has no column faults; see `la-medical scan`")
    if stated:
        refused = sorted({row for fault, where in rows.items() if fault not in WARNS for row in where})
        bad = "series have faults that forbid reading them as volumes"
        good = "no series has a fault that forbids reading it"
        summary = passed_unless(SUMMARY, case_ids(manifest, refused), good, bad)
    return [summary, *(_fault_check(manifest, fault, sorted(where)) for fault, where in sorted(rows.items()))]


def _fault_check(manifest: Manifest, fault: str, rows: list[int]) -> Check:
    status = WARNING if fault in WARNS else FAILED
    meaning = WARNS.get(fault) or REFUSES.get(fault) or "a fault this version does not know"
    return concerning(f"series: {fault}", status, meaning, case_ids(manifest, rows))
