"""Whether one patient, study or image is in two splits, and whether that could be looked at at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.manifest.assemble import derived_sources
from la_medical.manifest.audit.checks import CANNOT, FAILED, PASSED, WARNING, Check, case_ids, concerning, passed_unless
from la_medical.manifest.audit.fingerprints import similar_pairs
from la_medical.manifest.audit.inspection import Inspection
from la_medical.manifest.groups import link_columns
from la_medical.manifest.table import Manifest

LABELS_ONLY = "labels only: no image was opened"


def leakage_checks(manifest: Manifest, found: Sequence[Inspection] | None) -> list[Check]:
    """Patients, studies, equal pixels, similar pictures and related sources across splits."""
    if manifest.table.loc[manifest.table["split"] != "", "split"].nunique() < 2:
        why = "the manifest has fewer than two splits; make them with `la-medical split`"
        names = ("patients", "studies", "equal pixels", "similar images", "derived sources")
        checks = [Check(f"{name} across splits", CANNOT, why) for name in names]
    else:
        checks = [
            _patients(manifest),
            _studies(manifest),
            _equal_pixels(manifest, found),
            _similar(manifest, found),
            _derived(manifest, found),
        ]
    return [*checks, _duplicates(manifest, found)]


def straddling(key: pd.Series, split: pd.Series) -> NDArray[np.bool_]:
    """Rows (N,) whose key, where it is not blank, occurs in two or more splits; rows without a split do not count."""
    used = (key != "").to_numpy() & (split != "").to_numpy()
    rows = np.zeros(len(key), dtype=bool)
    if used.any():
        keys, splits = pd.factorize(key[used])[0], pd.factorize(split[used])[0]
        seen = np.zeros((keys.max() + 1, splits.max() + 1), dtype=bool)
        seen[keys, splits] = True
        rows[used] = (seen.sum(axis=1) > 1)[keys]
    return rows


def _patients(manifest: Manifest) -> Check:
    name = "patients across splits"
    table = manifest.table
    key = next(column for kind, column in link_columns(manifest) if kind == "patient")
    rows = straddling(key, table["split"])
    blank = (table["patient_id"] == "").to_numpy()
    without = ", ".join(source or "(no source)" for source in sorted(table.loc[blank, "source"].unique()))
    note = f"; {int(blank.sum())} cases of {without} have no patient ID and cannot be checked" if blank.any() else ""
    if rows.any():
        return concerning(name, FAILED, f"patients are in more than one split{note}", case_ids(manifest, rows))
    if blank.any():
        return concerning(name, CANNOT, f"no patient ID in {without}", case_ids(manifest, blank))
    return Check(name, PASSED, "no patient is in two splits")


def _studies(manifest: Manifest) -> Check:
    name = "studies across splits"
    columns = [column for kind, column in link_columns(manifest) if kind == "study"]
    if not columns:
        return Check(name, CANNOT, "the manifest has no column study_uid, study_instance_uid or study_id")
    rows = np.zeros(len(manifest), dtype=bool)
    known = (manifest.table["patient_id"] != "").to_numpy().copy()  # a study is of one patient
    for column in columns:
        rows |= straddling(column, manifest.table["split"])
        known |= (column != "").to_numpy()
    if rows.any():
        return concerning(name, FAILED, "studies are in more than one split", case_ids(manifest, rows))
    if not known.all():
        return concerning(
            name, CANNOT, "cases with neither a study identifier nor a patient ID", case_ids(manifest, ~known)
        )
    return Check(name, PASSED, "no study is in two splits")


def _equal_pixels(manifest: Manifest, found: Sequence[Inspection] | None) -> Check:
    name = "equal pixels across splits"
    if found is None:
        return Check(name, CANNOT, LABELS_ONLY)
    pixels = _pixels(found)
    rows = straddling(pixels, manifest.table["split"])
    unread = (pixels == "").to_numpy()
    if rows.any():
        return concerning(name, FAILED, "images with equal decoded pixels are in two splits", case_ids(manifest, rows))
    if unread.any():
        return concerning(name, CANNOT, "images that could not be decoded", case_ids(manifest, unread))
    return Check(name, PASSED, "no two images with equal decoded pixels are in two splits")


def _similar(manifest: Manifest, found: Sequence[Inspection] | None) -> Check:
    name = "similar images across splits"
    if found is None:
        return Check(name, CANNOT, LABELS_ONLY)
    pairs = _similar_rows(found)
    if pairs is None:
        return Check(name, CANNOT, "resized copies are looked for among plain images only, and there are none")
    split = manifest.table["split"].to_numpy()
    pixels = _pixels(found).to_numpy()
    one, other = pairs.T
    apart = (split[one] != split[other]) & (split[one] != "") & (split[other] != "") & (pixels[one] != pixels[other])
    rows = np.unique(pairs[apart])
    return passed_unless(
        name, case_ids(manifest, rows), "no two images in two splits look alike (256-bit perceptual hash)",
        f"{int(apart.sum())} pairs look alike (perhaps resized copies) and are in two splits; look at them", WARNING,
    )  # fmt: skip


def _duplicates(manifest: Manifest, found: Sequence[Inspection] | None) -> Check:
    name = "equal pixels under two patients"
    if found is None:
        return Check(name, CANNOT, LABELS_ONLY)
    table, pixels = manifest.table, _pixels(found)
    who = table["source"] + "\x1f" + table["patient_id"].where(table["patient_id"] != "", table["case_id"])
    rows = straddling(pixels, who)
    return passed_unless(
        name, case_ids(manifest, rows), "no image comes under two patients or sources",
        "images with equal decoded pixels come under two patients or sources", WARNING,
    )  # fmt: skip


def _derived(manifest: Manifest, found: Sequence[Inspection] | None) -> Check:
    """Sources that hold one another's images: a failure unless equal pixels show which images these are."""
    name = "derived sources across splits"
    table = manifest.table
    splits = {source: set(part.unique()) - {""} for source, part in table.groupby("source")["split"]}
    pairs = [(one, other, why) for one, other, why in derived_sources(manifest) if len(splits[one] | splits[other]) > 1]
    uncarded = sorted(set(table["source"]) - set(manifest.cards))
    if not pairs and uncarded and len(splits) > 1:
        named = ", ".join(source or "(no source)" for source in uncarded)
        return Check(name, CANNOT, f"no card says what {named} is derived from", count=len(uncarded))
    if not pairs:
        return Check(name, PASSED, "no source of this manifest is derived from another one in another split")
    linked = [_linked(manifest, found, one, other) for one, other, _ in pairs]
    said = "; ".join(
        f"{one} and {other} ({why}; {count} images found in both)"
        for (one, other, why), count in zip(pairs, linked, strict=True)
    )
    if all(linked):
        return Check(name, WARNING, f"related sources in different splits; {said}", count=len(pairs))
    rows = table["source"].isin({source for pair in pairs for source in pair[:2]}).to_numpy()
    message = f"related sources in different splits, and nothing shows which of their images are the same: {said}"
    return concerning(name, FAILED, message, case_ids(manifest, rows))


def _linked(manifest: Manifest, found: Sequence[Inspection] | None, one: str, other: str) -> int:
    """How many fingerprints two sources share."""
    if found is None:
        return 0
    pixels, source = _pixels(found), manifest.table["source"]
    return len((set(pixels[source == one]) & set(pixels[source == other])) - {""})


def _pixels(found: Sequence[Inspection]) -> pd.Series:
    return pd.Series([one.pixels for one in found], dtype=str)


def _similar_rows(found: Sequence[Inspection]) -> NDArray[np.int64] | None:
    rows = np.array([row for row, one in enumerate(found) if one.perceptual], dtype=np.int64)
    if not len(rows):
        return None
    joined = bytes.fromhex("".join(found[row].perceptual for row in rows))
    return rows[similar_pairs(np.frombuffer(joined, dtype=np.uint8).reshape(len(rows), -1))]
