"""Read a manifest for an audit: two faults that stop every other command are findings here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.artifacts import read_json, sha256_of
from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace, packaged_label_spaces
from la_medical.manifest.audit.checks import FAILED, PASSED, Check, concerning
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table import LABEL_PREFIX, Manifest, from_columns, read_manifest

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
    except (ManifestError, LabelError) as error:
        frame = _raw(path)
        if frame is None:
            raise
        repeated = frame["case_id"].astype(str).duplicated() if "case_id" in frame else pd.Series(False, frame.index)
        space = _space(path, frame)
        wrong = [name for name in frame.columns if str(name).startswith(LABEL_PREFIX) and not space.find(_class(name))]
        if not repeated.any() and not wrong:
            raise
        cause = str(error)
    checks = [
        concerning(UNIQUE, FAILED, "case_ids come more than once; the first row of each is audited below", cases)
        if (cases := [str(case) for case in frame.loc[repeated, "case_id"].unique()])
        else good[0],
        Check(SPELLED, FAILED, _misspelt(wrong, space), len(wrong)) if wrong else good[1],
    ]
    about = read_json(path.with_suffix(".json")) if path.with_suffix(".json").is_file() else {}
    if about and sha256_of(path) not in (about.get("sha256"), dict(about.get("also", {})).get(path.name)):
        raise ManifestError(cause)
    manifest = from_columns(
        frame.loc[~repeated].drop(columns=wrong),
        root=root or path.parent / about.get("root", "."),
        space=space,
        cards={name: SourceCard.from_dict(name, card) for name, card in about.get("sources", {}).items()},
    )
    return replace(manifest, path=path), checks


def _raw(path: Path) -> pd.DataFrame | None:
    """The table as it stands, or None where there is no table that can be read."""
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(
            path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig", index_col=False
        )
    except (ValueError, OSError):  # read_manifest has said it better already
        return None


def _class(column: object) -> str:
    return str(column).removeprefix(LABEL_PREFIX)


def _space(path: Path, frame: pd.DataFrame) -> LabelSpace:
    """The JSON's label space, or the packaged one that knows most of the columns."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        about = read_json(beside)
        if isinstance(about, dict) and "label_space" in about:
            return LabelSpace.from_dict(about["label_space"])
    names = [_class(name) for name in frame.columns if str(name).startswith(LABEL_PREFIX)]
    spaces = [LabelSpace.load(name) for name in packaged_label_spaces()]
    return max(spaces, key=lambda space: sum(space.find(name) is not None for name in names))


def _misspelt(wrong: list[str], space: LabelSpace) -> str:
    said = []
    for name in wrong:
        near = space.nearest(_class(name))
        said.append(name + (f" (did you mean {LABEL_PREFIX}{near}?)" if near else ""))
    return f"columns that are no class of {space.name}: " + ", ".join(said)
