"""One series a study: the one that detection should read, with the reason.

Eligible is a readable CT volume (no fault refuses it) that is original or at least not a projection, with enough
slices. Among these the phase decides, in a configurable order; then the thinner slices, then the more slices, then
the UID, so that the choice is the same every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from la_medical.dicom.phase import DEFAULT_ORDER, PHASES, UNKNOWN
from la_medical.errors import InputError
from la_medical.parsing import parse_json

if TYPE_CHECKING:
    import pandas as pd

MIN_SLICES = 10
_NOT_ANATOMY = frozenset({"LOCALIZER", "PROJECTION", "MIP", "MINIP", "SCREEN SAVE", "DOSE_INFO"})


def checked_order(order: Sequence[str]) -> tuple[str, ...]:
    """A phase order; raises `InputError` for an unknown or repeated phase. Phases it leaves out are not selected."""
    known = (*PHASES, UNKNOWN)
    wrong = [phase for phase in order if phase not in known]
    if wrong or not order or len(set(order)) < len(order):
        raise InputError(
            f"phase order {','.join(order)!r}: expected each at most once of {', '.join(known)}, best first"
        )
    return tuple(order)


def mark_selected(
    rows: Iterable[dict[str, Any]], order: Sequence[str] = DEFAULT_ORDER, min_slices: int = MIN_SLICES
) -> None:
    """Set `selected` (0 or 1) and `selected_reason` of series rows, one selected series a study at most."""
    order = checked_order(order)
    studies: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        studies.setdefault(_study_key(row), []).append(row)
    for study in studies.values():
        _mark_study(study, order, min_slices)


def _study_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["study_uid"]:
        return (str(row["study_uid"]),)
    return ("", str(row["patient_id"]), str(row["study_date"]), str(row["folder"]))


def _mark_study(study: list[dict[str, Any]], order: Sequence[str], min_slices: int) -> None:
    eligible = []
    for row in study:
        row["selected"], row["selected_reason"] = 0, _why_not(row, order, min_slices)
        if not row["selected_reason"]:
            eligible.append(row)
    if not eligible:
        return
    best = min(eligible, key=lambda row: _rank(row, order))
    for row in eligible:
        row["selected_reason"] = _why_behind(row, best)
    best["selected"] = 1
    best["selected_reason"] = (
        f"phase {best['phase']} is number {order.index(best['phase']) + 1} of {' > '.join(order)} "
        f"({best['phase_evidence']}); {len(eligible)} of {len(study)} series eligible; "
        f"slice step {_step(best):g} mm, {int(best['slices'])} slices"
    )


def _why_not(row: Mapping[str, Any], order: Sequence[str], min_slices: int) -> str:
    """Why a series is not eligible, "" if it is."""
    if row["modality"] != "CT" or row["kind"] != "volume":
        return f"not a CT volume ({row['modality'] or 'no modality'}, {row['kind']})"
    if _whole(row, "readable") != 1:
        return f"cannot be read as a volume ({row['faults']})"
    if _NOT_ANATOMY & set(str(row["image_type"]).split("\\")):
        return "projection or screen image (ImageType)"
    slices = _whole(row, "slices")
    if slices < min_slices:
        return f"{slices} slices, fewer than {min_slices}"
    return "" if row["phase"] in order else f"phase {row['phase']} is not wanted"


def _why_behind(row: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    if row["phase"] != best["phase"]:
        return f"phase {row['phase']} ({row['phase_evidence']}) comes after {best['phase']}"
    return "same phase as the selected series, which has thinner slices, more slices or the lower UID"


def _step(row: Mapping[str, Any]) -> float:
    try:
        return float(parse_json(row["spacing"])[2])
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"a readable volume has spacing {row['spacing']!r} in the series table; scan again") from error


def _whole(row: Mapping[str, Any], column: str) -> int:
    """A whole number of a row, which a table that was changed by hand may lack."""
    try:
        return int(row[column])
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"a series has {column} {row[column]!r} in the series table; scan again") from error


def _rank(row: Mapping[str, Any], order: Sequence[str]) -> tuple[Any, ...]:
    return order.index(row["phase"]), _step(row), -int(row["slices"]), str(row["series_uid"]), str(row["folder"])


def select_series(
    series_table: pd.DataFrame, *, order: Sequence[str] = DEFAULT_ORDER, min_slices: int = MIN_SLICES
) -> pd.DataFrame:
    """The selected rows of a series table, one a study at most, each with `selected_reason`.

    Args:
        series_table: what `read_series_table` gives.
        order: phases, best first; a phase left out is never selected. Of `portal_venous`, `pancreatic`, `arterial`,
            `delayed`, `native` and `unknown`.
        min_slices: fewest slices of a series that is selected.

    Raises:
        InputError: an unknown phase in `order`; a table that was changed by hand and lacks what decides.
    """
    rows = series_table.to_dict("records")
    mark_selected(rows, order, min_slices)
    chosen = [index for index, row in enumerate(rows) if row["selected"] == 1]
    table = series_table.iloc[chosen].reset_index(drop=True)
    return table.assign(selected=1, selected_reason=[rows[index]["selected_reason"] for index in chosen])
