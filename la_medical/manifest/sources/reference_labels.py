"""A source's own table of diagnoses, set against what its masks show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import spelling_key


def settle(stated: Sequence[dict[str, int]], was_read: Sequence[bool], reference: Mapping[str, pd.Series]) -> None:
    """Put the states of `reference` (class to one state a case, missing where the table is silent) into `stated`.

    The table is the reference standard, so it decides. One state it cannot give: a class that it says is there and
    that a mask which was read (`was_read`) does not show lies somewhere, and nobody drew where; it stays unknown.
    A class that the table denies and a mask shows stays denied, and `la-medical audit` names the case.
    """
    for name, column in reference.items():
        for known, read, told in zip(stated, was_read, column, strict=True):
            if pd.isna(told):
                continue
            if told == 1 and read and known.get(name) != 1:
                known.pop(name, None)
            else:
                known[name] = int(told)


def states_of(column: pd.Series, meanings: Mapping[str, int], where: str) -> pd.Series:
    """A column of words or numbers as 1, 0 and missing, by `meanings` (spelling key to state; blank is missing).

    Raises `LabelError` naming `where` and the first word that has no meaning.
    """
    keys = column.map(lambda text: spelling_key(str(text)))
    wrong = column[(keys != "") & ~keys.isin(list(meanings))]
    if len(wrong):
        raise LabelError(f"{where}: {wrong.iloc[0]!r}; expected one of {', '.join(meanings)} or blank")
    return keys.map(lambda key: meanings.get(key, pd.NA)).astype("Int8")


def table_metadata(
    table: pd.DataFrame, key: str, cases: Sequence[str], left_out: Sequence[str], path: Path
) -> pd.DataFrame:
    """The other columns of `table` for `cases`, named in lower snake case, blank for a case that it does not list.

    Raises `ManifestError` naming `path` for a case with two rows, and for two columns that have one name then.
    """
    ids = table[key].str.strip()
    twice = ids[ids.duplicated() & (ids != "")]
    if len(twice):
        raise ManifestError(f"{path}: {key} {twice.iloc[0]} has two rows; expected one")
    kept = table.drop(columns=[key, *left_out]).set_axis(ids, axis=0)[(ids != "").to_numpy()]
    named = kept.set_axis([spelling_key(str(name)) for name in kept.columns], axis=1)
    named = named.loc[:, [name != "" and not name.startswith("unnamed") for name in named.columns]]
    alike = named.columns[named.columns.duplicated()]
    if len(alike):
        raise ManifestError(f"{path}: two columns are called {alike[0]!r}; rename one")
    return named.reindex(list(cases)).fillna("").reset_index(drop=True)
