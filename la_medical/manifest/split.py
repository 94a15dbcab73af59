"""Train, val and test by group, so that no patient, study or image is in two of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.errors import InputError, ManifestError
from la_medical.manifest import stratify
from la_medical.manifest.groups import groups
from la_medical.manifest.stratify import NONE, TEST
from la_medical.manifest.table import SPLITS, Manifest

WAYS = {"stable": stratify.deal_by_hash, "exact": stratify.deal_exactly}


def split(
    manifest: Manifest,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    *,
    keep_test: bool = False,
    previous: Manifest | None = None,
    stratify_by: str = "stable",
    pixels: pd.Series | None = None,
) -> Manifest:
    """The manifest with its column `split` filled anew; every group lies in one split.

    A group is what shares a patient ID within a source, a study UID, or equal pixels where `pixels` is given.

    Args:
        manifest: what to split; the splits it has are replaced.
        val: wanted share of the groups, 0 for none.
        test: the same for test. With `keep_test` it is not used, and `val` is a share of what is left.
        seed: another seed gives another split; the same seed and table the same one.
        keep_test: rows that are test now stay the test split, and nothing is added to it.
        previous: an earlier split of the same cases: a group that has a case in it keeps that case's split.
        stratify_by: `stable` (a group's split comes from its own hash, so it stays when rows are added; few groups are
            moved where chance left a class out) or `exact` (iterative stratification: shares as even as groups allow).
        pixels: fingerprint of each row's decoded pixels, "" where there is none.

    Raises:
        ManifestError: fewer groups than wanted splits, a group with cases in two splits that must be kept.
        InputError: shares that are negative or leave nothing for train, an unknown way.
    """
    shares = _shares(val, 0.0 if keep_test else test)
    if stratify_by not in WAYS:
        raise InputError(f"stratify by {stratify_by!r}: expected one of {', '.join(WAYS)}")
    group = groups(manifest, pixels)
    fixed_rows = np.full(len(manifest), NONE, dtype=np.int64)
    if previous is not None:
        fixed_rows = _previous_splits(manifest, previous)
    if keep_test:
        fixed_rows[(manifest.table["split"] == "test").to_numpy()] = TEST
        if not (fixed_rows == TEST).any():
            raise ManifestError(f"{manifest.named}: --keep-test, but no row has split test")
        _whole_test_groups(manifest, group)
    fixed = _fixed(manifest, group, fixed_rows)
    _refuse_few(manifest, group, fixed, shares)
    place = stratify.positions(group_names(manifest, group), seed)
    dealt = _deal(manifest, group, fixed, shares, place, stratify_by, keep_test)
    names = np.array(SPLITS, dtype=object)[dealt[group]]
    return replace(manifest, table=manifest.table.assign(split=pd.Series(names, dtype=str)))


def group_names(manifest: Manifest, group: NDArray[np.int64]) -> list[str]:
    """A name of each group that does not depend on other groups: its first patient, or its first case."""
    table = manifest.table
    who = ("p\x1f" + table["patient_id"]).where(table["patient_id"] != "", "c\x1f" + table["case_id"])
    keys = table["source"] + "\x1f" + who
    if int(group.max()) + 1 == len(keys):
        return keys.tolist()
    firsts = keys.groupby(group, sort=True).min()
    return firsts.tolist()


def _shares(val: float, test: float) -> NDArray[np.float64]:
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1 - 1e-9):
        raise InputError(f"shares val {val:g} and test {test:g}: expected 0 or more, and less than 1 together")
    if not val + test:
        raise InputError("shares val 0 and test 0 leave nothing to split off; give one of them, such as --val 0.1")
    return np.array([1 - val - test, val, test])


def _deal(
    manifest: Manifest,
    group: NDArray[np.int64],
    fixed: NDArray[np.int64],
    shares: NDArray[np.float64],
    place: NDArray[np.float64],
    stratify_by: str,
    keep_test: bool,
) -> NDArray[np.int64]:
    sets = stratify.strata(manifest, group)
    open_groups = fixed != TEST if keep_test else np.ones(len(fixed), dtype=bool)
    dealt = fixed.copy()
    inside = sets[:, open_groups]
    inside = inside[inside.any(axis=1)]
    dealt[open_groups] = WAYS[stratify_by](place[open_groups], inside, shares, fixed[open_groups])
    return dealt


def _previous_splits(manifest: Manifest, previous: Manifest) -> NDArray[np.int64]:
    before = previous.table.set_index("case_id")["split"]
    now = before.reindex(manifest.table["case_id"]).fillna("").to_numpy()
    if not (now != "").any():
        raise ManifestError(f"{previous.named} holds no case of {manifest.named} with a split; nothing can be kept")
    fixed = np.full(len(manifest), NONE, dtype=np.int64)
    for number, name in enumerate(SPLITS):
        fixed[now == name] = number
    return fixed


def _whole_test_groups(manifest: Manifest, group: NDArray[np.int64]) -> None:
    """A kept test split must not share a group with other rows: these could not be trained on."""
    test = (manifest.table["split"] == "test").to_numpy()
    mixed = np.isin(group, group[test]) & ~test
    if mixed.any():
        row = int(np.argmax(mixed))
        raise ManifestError(
            f"{manifest.named}: {int(mixed.sum())} rows outside the test split belong to a patient, study or image "
            f"inside it, the first is {manifest.table['case_id'].iloc[row]}; remove them, or split anew "
            "without --keep-test"
        )


def _fixed(manifest: Manifest, group: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    fixed = np.full(int(group.max()) + 1, NONE, dtype=np.int64)
    known = rows != NONE
    fixed[group[known]] = rows[known]
    torn = known & (fixed[group] != rows)
    if torn.any():
        row = int(np.argmax(torn))
        other = int(np.argmax((group == group[row]) & known & (rows == fixed[group[row]])))
        case = manifest.table["case_id"]
        raise ManifestError(
            f"{manifest.named}: cases {case.iloc[row]} ({SPLITS[rows[row]]}) and {case.iloc[other]} "
            f"({SPLITS[rows[other]]}) must keep their splits, but belong to one patient, study or image; "
            "remove one of them or split anew"
        )
    return fixed


def _refuse_few(
    manifest: Manifest, group: NDArray[np.int64], fixed: NDArray[np.int64], shares: NDArray[np.float64]
) -> None:
    number = len(fixed) if (fixed != TEST).all() else int((fixed != TEST).sum())
    wanted = [name for name, share in zip(SPLITS, shares, strict=True) if share > 0]
    if number >= len(wanted):
        return
    largest = int(np.bincount(group).argmax())
    row = int(np.argmax(group == largest))
    raise ManifestError(
        f"{manifest.named}: {len(wanted)} splits are wanted ({', '.join(wanted)}), but there are only {number} groups "
        f"of rows that may be parted; the largest has {int((group == largest).sum())} rows, case "
        f"{manifest.table['case_id'].iloc[row]} among them; give fewer splits or more patients"
    )


def split_lines(manifest: Manifest, before: Manifest | None = None) -> list[str]:
    """What to print after a split: rows, groups and positives a split, and what could not be done."""
    table = manifest.table
    group = groups(manifest)
    lines = []
    for name in SPLITS:
        rows = (table["split"] == name).to_numpy()
        if rows.any():
            lines.append(f"{name:5} {int(rows.sum())} cases in {len(np.unique(group[rows]))} groups")
    states = manifest.states()
    codes = table["split"].to_numpy()
    used = [name for name in SPLITS if (codes == name).any()]
    for column, label in enumerate(manifest.classes):
        counts = [int((states[codes == name, column] == 1).sum()) for name in used]
        if sum(counts):
            shown = ", ".join(f"{name} {count}" for name, count in zip(used, counts, strict=True))
            empty = [name for name, count in zip(used, counts, strict=True) if not count]
            lines.append(f"{label}: positives {shown}" + (f" (no positive in {', '.join(empty)})" if empty else ""))
    without = sorted(table.loc[table["patient_id"] == "", "source"].unique())
    if without:
        lines.append(
            f"warning: rows without a patient ID in {', '.join(name or '(no source)' for name in without)} were split "
            "by study, or one by one; whether a patient of theirs is in two splits cannot be checked"
        )
    if before is not None and (before.table["split"] != "").any():
        changed = int(((before.table["split"] != table["split"]) & (before.table["split"] != "")).sum())
        lines.append(f"{changed} cases moved from the split they had")
    return lines
