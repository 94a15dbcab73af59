"""A hospital's table of diagnoses: a row a patient, or more, since diagnoses add up.

What is wrong in it is said by row: messages end up in logs, and logs name no patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from la_medical.errors import LabelError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.sources.official_tables import read_table

_NORMAL = frozenset({"normal", "healthy", "no_lesion", "no_finding", "negative"})


@dataclass(frozen=True)
class Diagnosis:
    """`classes`: of all rows of a patient; none of them is normal. `row`: the first, as a spreadsheet counts."""

    classes: frozenset[str]
    row: int


def read_pathology(
    path: Path, patient: str, diagnosis: str, space: LabelSpace, shown: Callable[[str], str] = str
) -> dict[str, Diagnosis]:
    """Patient, as `shown` names them, to their diagnosis. Patients whose diagnosis is blank (unknown) are left out.

    Args:
        path: CSV.
        patient: its column of patients.
        diagnosis: its column of diagnoses: a class of `space`, `normal`, or blank; several joined by `|`.
        space: label space.
        shown: the name of a patient from the ID in the table.

    Raises:
        ManifestError: no such file or columns.
        LabelError: a diagnosis that is no class, or a patient who is normal and has a diagnosis.
    """
    table = read_table(path, (patient, diagnosis))
    found: dict[str, set[str]] = {}
    normal: dict[str, int] = {}
    first: dict[str, int] = {}
    for row, (who, text) in enumerate(zip(table[patient].str.strip(), table[diagnosis], strict=True), start=2):
        name = shown(who)
        for part in filter(None, (piece.strip() for piece in str(text).split("|"))):
            first.setdefault(name, row)
            if spelling_key(part) in _NORMAL:
                normal.setdefault(name, row)
            else:
                found.setdefault(name, set()).add(space.resolve(part))
    for name, row in normal.items():
        if name in found:
            raise LabelError(f"{path}: the patient of row {row} is both normal and {', '.join(sorted(found[name]))}")
    return {name: Diagnosis(frozenset(found.get(name, ())), row) for name, row in first.items()}
