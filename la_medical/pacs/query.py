"""What an archive holds: studies, series and instances as tables (QIDO-RS, PS3.18 section 10.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from la_medical.errors import PacsError
from la_medical.pacs.server import Server, checked_uid

PAGE = 500
"""Matches asked for at once: archives cut longer answers short, some without saying so."""
STUDY_COLUMNS = {
    "study_uid": "0020000D", "patient_id": "00100020", "study_date": "00080020", "accession_number": "00080050",
    "study_description": "00081030", "modalities": "00080061", "series": "00201206", "instances": "00201208",
}  # fmt: skip
"""Column name to tag; the names that `la-medical scan` has too mean the same."""
SERIES_COLUMNS = {
    "study_uid": "0020000D", "series_uid": "0020000E", "modality": "00080060", "series_number": "00200011",
    "series_description": "0008103E", "instances": "00201209",
}  # fmt: skip
INSTANCE_COLUMNS = {
    "study_uid": "0020000D", "series_uid": "0020000E", "instance_uid": "00080018", "sop_class_uid": "00080016",
}  # fmt: skip
_DATES = re.compile(r"\d{8}|\d{8}-(\d{8})?|-\d{8}")


def find_studies(
    server: Server,
    *,
    study_uid: str | None = None,
    patient_id: str | None = None,
    accession_number: str | None = None,
    study_date: str | None = None,
    modality: str | None = None,
    description: str | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Studies that match all that is given, sorted by date and UID; one row a study, cells are text.

    Args:
        server: the archive.
        study_uid: one study.
        patient_id: as the archive has it; `*` and `?` stand for any letters and any letter.
        accession_number: the same.
        study_date: `YYYYMMDD`, or a range `YYYYMMDD-YYYYMMDD`, open where one side is missing.
        modality: of a series in the study, as `CT`.
        description: of the study, `*` and `?` as above.
        limit: most studies to ask for.

    Raises:
        PacsError: the archive cannot be asked, a date or UID is none, or a limit below 1.
    """
    if study_date is not None and not _DATES.fullmatch(study_date):
        raise PacsError(f"study date {study_date!r}; expected YYYYMMDD or a range such as 20240101-20241231")
    if limit is not None and limit < 1:
        raise PacsError(f"limit {limit}: expected 1 or more")
    wanted = {
        "StudyInstanceUID": checked_uid(study_uid) if study_uid is not None else None, "PatientID": patient_id,
        "AccessionNumber": accession_number, "StudyDate": study_date, "ModalitiesInStudy": modality,
        "StudyDescription": description,
    }  # fmt: skip
    filters = {name: value for name, value in wanted.items() if value}
    fields = ["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"]

    def page(offset: int, size: int) -> list[Mapping[str, Any]]:
        return server.client.search_for_studies(search_filters=filters, fields=fields, limit=size, offset=offset)

    table = _table(server, "studies", page, STUDY_COLUMNS, limit)
    return table.sort_values(["study_date", "study_uid"], ignore_index=True)


def find_series(server: Server, study_uid: str, *, modalities: Sequence[str] = ()) -> pd.DataFrame:
    """Series of one study, sorted by UID; `modalities` narrows them.

    Raises:
        PacsError: the archive cannot be asked, or has no such study.
    """
    study = checked_uid(study_uid)

    def page(offset: int, size: int) -> list[Mapping[str, Any]]:
        fields = ["NumberOfSeriesRelatedInstances", "SeriesDescription"]
        return server.client.search_for_series(study, fields=fields, limit=size, offset=offset)

    table = _table(server, f"study {study}", page, SERIES_COLUMNS, None)
    if table.empty:
        raise PacsError(f"{server.url}: study {study} not found")
    table["study_uid"] = study  # the archive need not repeat it
    if modalities:
        table = table[table["modality"].isin(modalities)]
    return table.sort_values("series_uid", ignore_index=True)


def find_instances(server: Server, study_uid: str, series_uid: str) -> pd.DataFrame:
    """Instances of one series, sorted by UID."""
    study, series = checked_uid(study_uid), checked_uid(series_uid)

    def page(offset: int, size: int) -> list[Mapping[str, Any]]:
        return server.client.search_for_instances(study, series, limit=size, offset=offset)

    table = _table(server, f"series {series}", page, INSTANCE_COLUMNS, None)
    table["study_uid"], table["series_uid"] = study, series
    return table.sort_values("instance_uid", ignore_index=True)


def _table(server: Server, what: str, page: Any, columns: Mapping[str, str], limit: int | None) -> pd.DataFrame:
    """All pages of one question. Archives that ignore `offset` repeat themselves: each UID counts once."""
    key = columns[next(name for name in ("instance_uid", "series_uid", "study_uid") if name in columns)]
    found: dict[str, Mapping[str, Any]] = {}
    offset = 0
    with server.answering(what):
        while limit is None or offset < limit:
            size = PAGE if limit is None else min(PAGE, limit - offset)
            answers = page(offset, size)
            new = {_text(answer, key): answer for answer in answers if _text(answer, key) not in found}
            found.update(new)
            offset += len(answers)
            if not new:  # a page shorter than asked for may be the archive's own limit, so one more is asked for
                break
        rows = [[_text(answer, tag) for tag in columns.values()] for answer in found.values()]
    return pd.DataFrame(rows, columns=list(columns), dtype=str)


def _text(answer: Mapping[str, Any], tag: str) -> str:
    """Values of one tag of DICOM JSON (PS3.18 annex F), several joined by a backslash; blank if there is none."""
    values = answer.get(tag, {}).get("Value") or []
    return "\\".join(str(value.get("Alphabetic", "") if isinstance(value, dict) else value) for value in values)
