"""Rows that must stay together: one patient's, one study's, and those with the same pixels.

Groups are the connected components of rows that share any of these keys, found without a loop over rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.manifest.table import Manifest

STUDY_UIDS = ("study_uid", "study_instance_uid", "StudyInstanceUID")
"""Metadata columns whose value is one study wherever it comes from (DICOM (0020,000D))."""
STUDY_IDS = ("study_id",)
"""Metadata columns whose value is one study within its source only."""


def link_columns(manifest: Manifest) -> Iterator[tuple[str, pd.Series]]:
    """Each kind of key with its value a row, "" where a row has none.

    A patient ID, like a `study_id`, is one patient within its source only: two hospitals may both have a patient 007.
    """
    table = manifest.table
    yield "patient", _within_source(table["source"], table["patient_id"])
    for name in STUDY_UIDS:
        if name in table:
            yield "study", table[name]
    for name in STUDY_IDS:
        if name in table:
            yield "study", _within_source(table["source"], table[name])


def groups(manifest: Manifest, pixels: pd.Series | None = None) -> NDArray[np.int64]:
    """Group number of each row (N,), 0..G-1 in the order of first appearance.

    Args:
        manifest: N rows. A row without any key is a group of its own.
        pixels: fingerprint of each row's decoded pixels (N,), "" where there is none; equal ones are linked.
    """
    keys = [column for _, column in link_columns(manifest)]
    if pixels is not None:
        keys.append(pixels.reset_index(drop=True))
    number = len(manifest.table)
    if len(keys) == 1:
        return _of_one_key(keys[0], number)
    return _components(keys, number)


def _within_source(source: pd.Series, value: pd.Series) -> pd.Series:
    return (source + "\x1f" + value).where(value != "", "")


def _of_one_key(key: pd.Series, number: int) -> NDArray[np.int64]:
    codes = _codes(key)
    blank = codes < 0
    codes[blank] = number + np.arange(int(blank.sum()))
    return _first_seen(codes)


def _components(keys: list[pd.Series], number: int) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, nodes, used = [], [], number
    for key in keys:
        codes = _codes(key)
        known = np.flatnonzero(codes >= 0)
        rows.append(known)
        nodes.append(codes[known] + used)
        used += int(codes.max(initial=-1)) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, node)), shape=(used, used))
    _, found = connected_components(graph, directed=False)
    return _first_seen(found[:number].astype(np.int64))


def _codes(key: pd.Series) -> NDArray[np.int64]:
    codes, values = pd.factorize(key)
    codes = codes.astype(np.int64)
    blank = np.flatnonzero(np.asarray(values == ""))
    if len(blank):
        codes[codes == blank[0]] = -1
    return codes


def _first_seen(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return pd.factorize(codes)[0].astype(np.int64)
