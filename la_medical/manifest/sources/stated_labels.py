"""Label columns as a published table states them: 1, 0, -1 and blank, in any of the spellings of a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelClass, LabelSpace, spelling_key
from la_medical.manifest.table import LABEL_PREFIX

STATES = {"": pd.NA, "1": 1, "0": 0, "-1": -1, "1.0": 1, "0.0": 0, "-1.0": -1}


def own_space(named: str, spellings: Iterable[str]) -> LabelSpace:
    """The label space `named` of the classes that a source brings; a name that starts with a digit gets `class_`.

    Raises `ManifestError` for two spellings of one name, and for one without a letter a to z or a digit.
    """
    names: dict[str, str] = {}
    for spelling in spellings:
        key = spelling_key(spelling)
        if not key:
            raise ManifestError(f"class {spelling!r} has no letter a to z and no digit; rename it")
        name = key if key[0].isalpha() else f"class_{key}"
        if name in names:
            raise ManifestError(f"{names[name]!r} and {spelling!r} spell the same class; rename one")
        names[name] = spelling
    return LabelSpace(
        name=named,
        classes=tuple(LabelClass(name, display=spelling, synonyms=(spelling,)) for name, spelling in names.items()),
    )


def stated(column: pd.Series, where: str) -> pd.Series:
    """A column of text as label states; raises `LabelError` naming `where` and the first value that is none."""
    text = column.str.strip()
    wrong = text[~text.isin(list(STATES))]
    if len(wrong):
        raise LabelError(
            f"{where}: {wrong.iloc[0]!r} in row {int(wrong.index[0]) + 2}; expected 1, 0, -1 (uncertain) or blank"
        )
    codes, kinds = pd.factorize(text)
    return pd.Series(pd.array([STATES[kind] for kind in kinds], dtype="Int8").take(codes), index=column.index)


def stated_columns(
    table: pd.DataFrame, spellings: Iterable[str], space: LabelSpace, where: str
) -> dict[str, pd.Series]:
    """Manifest label columns from the columns of `table` that `spellings` names, each resolved in `space`."""
    return {
        LABEL_PREFIX + space.resolve(spelling): stated(table[spelling], f"{where}: {spelling}")
        for spelling in spellings
    }


def from_rows(rows: Iterable[Mapping[str, int]], classes: Iterable[str], index: pd.Index) -> dict[str, pd.Series]:
    """Manifest label columns of `classes` from one mapping a row; a class that a row does not name is unknown."""
    listed = list(rows)
    return {
        LABEL_PREFIX + name: pd.Series(pd.array([row.get(name, pd.NA) for row in listed], dtype="Int8"), index=index)
        for name in classes
    }


def one_of(names: pd.Series, classes: Iterable[str]) -> dict[str, Any]:
    """Manifest label columns of an exclusive choice: 1 for the class that a row names, 0 for the others."""
    return {LABEL_PREFIX + name: (names == name).astype("Int8") for name in classes}
