"""Read a manifest for an audit: two faults that stop every other command are findings here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace, packaged_label_spaces
from la_medical.manifest.audit.checks import FAILED, PASSED, Check, concerning
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table import (
    LABEL_PREFIX,
    Manifest,
    from_columns,
    json_beside,
    read_manifest,
    space_beside,
    space_of_columns,
)
from la_medical.manifest.table_files import read_table_file

UNIQUE, SPELLED = "unique case_id", "class spellings"


def read_for_audit(path: str | Path, *, root: str | Path | None = None) -> tuple[Manifest, list[Check]]:
    """The manifest, and what reading it found: duplicate `case_id`s and label columns that no class spells.

    Of cases with one ID the first is kept, and a column of no class is left out, so that the rest can be audited.

    Raises:
        ManifestError, LabelError: anything else that is wrong with the table or its JSON.
    """
    path = Path(path)
    good = [Check(UNIQUE, PASSED, "each case has one row"), Check(SPELLED, PASSED, "every label column is a class")]
    try:
        return read_manifest(path, root=root), good
    except (ManifestError, LabelError):
        frame, about = read_table_file(path), json_beside(path) or {}  # they raise what cannot be audited
        space = space_beside(about) if about else _space(path, frame)
        wrong = [name for name in frame.columns if str(name).startswith(LABEL_PREFIX) and not space.find(_class(name))]
        if "case_id" not in frame:
            raise
        repeated = frame["case_id"].astype(str).duplicated()
        if not repeated.any() and not wrong:
            raise
    cases = [str(case) for case in frame.loc[repeated, "case_id"].unique()]
    twice = "case_ids come more than once; the first row of each is audited below"
    checks = [
        concerning(UNIQUE, FAILED, twice, cases) if cases else good[0],
        Check(SPELLED, FAILED, _misspelt(wrong, space), len(wrong)) if wrong else good[1],
    ]
    manifest = from_columns(
        frame.loc[~repeated].drop(columns=wrong),
        root=root or path.parent / about.get("root", "."),
        space=space,
        cards={name: SourceCard.from_dict(name, card) for name, card in about.get("sources", {}).items()},
        allow_absolute=bool(about.get("absolute_paths", False)),
        path=path,
    )
    return manifest, checks


def _class(column: object) -> str:
    return str(column).removeprefix(LABEL_PREFIX)


def _space(path: Path, frame: pd.DataFrame) -> LabelSpace:
    """The label space that reading would find, or the packaged one that knows most of the columns."""
    columns = [str(name) for name in frame.columns]
    try:
        return space_of_columns(columns, path)
    except LabelError:
        names = [_class(name) for name in columns if name.startswith(LABEL_PREFIX)]
        spaces = [LabelSpace.load(name) for name in packaged_label_spaces()]
        return max(spaces, key=lambda space: sum(space.find(name) is not None for name in names))


def _misspelt(wrong: list[str], space: LabelSpace) -> str:
    said = []
    for name in wrong:
        near = space.nearest(_class(name))
        said.append(name + (f" (did you mean {LABEL_PREFIX}{near}?)" if near else ""))
    return f"columns that are no class of {space.name}: " + ", ".join(said)
