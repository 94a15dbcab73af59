"""A hospital's DICOM tree, with SEG or RTSTRUCT, with a pathology table, or with both.

Each study gives one case: the series that a segmentation was drawn on, otherwise the one that the scan selected by
contrast phase. Series are written as NIfTI, so that what was checked is what is trained on. Traps: a diagnosis
says nothing of other lesions (only `normal` rules all out); a region called "tumour" of a patient with one
diagnosis is of that class; a class that a patient has but nobody drew is unknown in each voxel, so its label stays
blank beside a mask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import read_object
from la_medical.dicom.pseudonyms import Pseudonyms, read_key
from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.drawn_series import Drawing, classes_of, draw_mask, write_image
from la_medical.manifest.sources.pathology_table import Diagnosis, read_pathology
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest, from_columns
from la_medical.progress import progress

LESIONS = ("pdac", "cyst", "pannet")
_KEPT = ("study_uid", "series_uid", "study_date", "series_description", "phase", "phase_evidence", "selected_reason",
         "manufacturer", "slice_thickness", "spacing", "faults")  # fmt: skip


@dataclass(frozen=True)
class _Case:
    """One series to read, with the segmentation series that were drawn on it."""

    case_id: str
    series: Mapping[str, Any]
    segmentations: tuple[Mapping[str, Any], ...]


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    series: str | Path | None = None,
    pathology: str | Path | None = None,
    patient_column: str = "patient_id",
    class_column: str = "diagnosis",
    images_out: str | Path | None = None,
    label_space: str | None = None,
    source_name: str | None = None,
    segments: str | Mapping[str, str] | None = None,
    pseudonymise: str | Path | None = None,
) -> Manifest:
    """Read one case a study and write `<images_out>/images/*.nii.gz` and `<images_out>/masks/*.nii.gz`.

    Args:
        root: the DICOM tree.
        card: of the cohort.
        check_files: if not, nothing is written and segmentations are not read: labels come from `pathology` alone.
        series: series table of `la-medical scan`; without it the tree is scanned to `<images_out>/series.csv`.
        pathology: CSV with a row a patient (or more: diagnoses add up).
        patient_column: of that table.
        class_column: of that table; a class of the label space, `normal`, or blank for unknown.
        images_out: folder that receives volumes and masks; the manifest's root.
        label_space: of diagnoses and segments, by default the card's.
        source_name: by default the card's name.
        segments: `GTV_1=pdac,Panc=pancreas`: names of segments or regions that the label space does not know.
        pseudonymise: file with the key: identifiers become keyed ones, also those of `pathology`; texts that people
            typed are left out. `series`, if given, must have been scanned with the same key.

    Raises:
        ManifestError: no readable CT series, a patient of the table without a study, two cases of one series.
        LabelError: an unknown diagnosis, a lesion drawn in a patient that the table calls normal, or segments none of
            which is a class.
        GeometryError: a segmentation that does not fit its series.
    """
    if images_out is None:
        raise ManifestError("hospital_dicom writes volumes as NIfTI; say where with --images-out")
    out = Path(images_out)
    base = card or load_card("hospital_dicom")
    named = source_name or base.name
    space = LabelSpace.load(label_space or base.label_space)
    pseudonyms = read_key(pseudonymise) if pseudonymise else None
    table = _series_table(root, series, out, pseudonyms)
    cases = _cases(table, named)
    shown = pseudonyms.patient if pseudonyms else str
    diagnoses = {} if pathology is None else read_pathology(Path(pathology), patient_column, class_column, space, shown)
    files = _Files(root, pseudonyms)
    _all_there(diagnoses, cases, pathology)
    names = _segment_names(segments, space)
    rows, stated = [], []
    values: set[int] = set()
    for case in progress(cases, what=f"{named} series"):
        diagnosis = diagnoses.get(str(case.series["patient_id"]))
        drawing = _drawn(case, files, out, space, names, diagnosis) if check_files else Drawing()
        if pseudonyms and drawing.left_out:
            drawing = replace(drawing, left_out=(f"{len(drawing.left_out)} segments, names withheld",))
        rows.append(_row(case, drawing, diagnosis))
        stated.append(_states(diagnosis, drawing))
        values |= drawing.values
    frame = pd.DataFrame(rows)
    _refuse_unnamed(frame["segments_left_out"], values)
    classes = [name for name in space.names if any(name in states for states in stated)]
    meaning = {value: classes_of(value, space) for value in sorted(values)}
    own = replace(base, name=named, classes=tuple(classes), mask_values=meaning, label_space=space.name)
    labels = pd.DataFrame(from_rows(stated, classes, frame.index))
    combined = pd.concat([frame.assign(source=named), labels], axis=1)
    return from_columns(combined, root=out, space=space, cards={named: own})


def _refuse_unnamed(left_out: pd.Series, values: set[int]) -> None:
    if (left_out != "").any() and not values:
        first = left_out[left_out != ""].iloc[0]
        raise LabelError(
            f"segments are drawn, but none is a class: {first}; say what they are with --segments NAME=class"
        )


class _Files:
    """The files of a series row, whether or not the table holds their names."""

    def __init__(self, root: Path, pseudonyms: Pseudonyms | None) -> None:
        from la_medical.dicom.series import pseudonymous_tree

        self._root, self._pseudonyms = root, pseudonyms
        self._tree = pseudonymous_tree(root, pseudonyms) if pseudonyms else None

    def of(self, row: Mapping[str, Any]) -> list[Path]:
        from la_medical.dicom.series import series_files

        return series_files(row, self._root, pseudonyms=self._pseudonyms, tree=self._tree)


def _series_table(root: Path, series: str | Path | None, out: Path, pseudonyms: Pseudonyms | None) -> pd.DataFrame:
    from la_medical.dicom.scan import scan
    from la_medical.dicom.series import read_series_table

    if series is None:
        series = out / "series.csv"
        out.mkdir(parents=True, exist_ok=True)
        scan(root, series, pseudonyms=pseudonyms)
    beside = Path(series).with_suffix(".json")
    keyed = beside.is_file() and bool(read_object(beside).get("settings", {}).get("pseudonymised"))
    if keyed != bool(pseudonyms) and beside.is_file():
        raise ManifestError(
            f"{series} was scanned {'with' if keyed else 'without'} --pseudonymise; "
            f"{'give the same KEYFILE' if keyed else 'scan the tree again with the KEYFILE, or leave it out'}"
        )
    return read_series_table(series)


def _cases(table: pd.DataFrame, named: str) -> list[_Case]:
    """One case a study of the source `named`: each series that was drawn on, or else the selected one."""
    usable = table[(table["kind"] == "volume") & (table["readable"] == 1) & (table["modality"] == "CT")]
    drawings = table[table["kind"].isin(["segmentation", "structure_set"])]
    chosen: list[tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]] = []
    for (_, study), rows in usable.groupby(["patient_id", "study_uid"], sort=True):
        drawn_on = rows[rows["series_uid"].isin(drawings["referenced_series_uid"])]
        kept = drawn_on if len(drawn_on) else rows[rows["selected"] == 1]
        for _, row in kept.iterrows():
            own = drawings[drawings["referenced_series_uid"] == row["series_uid"]]
            if len(kept) == 1:  # a drawing that does not say its series can only mean this one
                loose = drawings[(drawings["referenced_series_uid"] == "") & (drawings["study_uid"] == study)]
                own = pd.concat([own, loose])
            chosen.append((row.to_dict(), tuple(own.to_dict("records"))))
    if not chosen:
        raise ManifestError(
            "no CT series was found or selected; the columns faults and selected_reason of the series table say why"
        )
    names = pd.Series([f"{named}_{_short(str(row['series_uid']))}" for row, _ in chosen])
    return [_Case(name, *pair) for name, pair in zip(case_ids(names), chosen, strict=True)]


def _short(uid: str) -> str:
    """Says nothing about the patient: case IDs become file names and stand in logs and reports."""
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


def _all_there(diagnoses: Mapping[str, Diagnosis], cases: list[_Case], pathology: str | Path | None) -> None:
    there = {str(case.series["patient_id"]) for case in cases}
    missing = [diagnosis.row for patient, diagnosis in diagnoses.items() if patient not in there]
    if missing:
        raise ManifestError(
            f"{pathology}: {len(missing)} of {len(diagnoses)} patients have no readable and selected CT series, "
            f"the first is in row {missing[0]}; check that both use the same IDs, or take them out of the table"
        )


def _segment_names(segments: str | Mapping[str, str] | None, space: LabelSpace) -> dict[str, str]:
    """Label of a segment to its class, for those that the caller explains."""
    if segments is None:
        return {}
    if isinstance(segments, str):
        pairs = [part.partition("=") for part in segments.split(",")]
        if any(not name.strip() or not equals for name, equals, _ in pairs):
            raise ManifestError(f"--segments {segments!r}: expected NAME=class, several joined by commas")
        segments = {name.strip(): value.strip() for name, _, value in pairs}
    return {label: space.resolve(name) for label, name in segments.items()}


def _drawn(
    case: _Case,
    files: _Files,
    out: Path,
    space: LabelSpace,
    names: Mapping[str, str],
    diagnosis: Diagnosis | None,
) -> Drawing:
    from la_medical.dicom.series import read_volume

    volume = read_volume(files.of(case.series))
    write_image(volume, out / "images" / f"{case.case_id}.nii.gz")
    drawn = [path for row in case.segmentations for path in files.of(row)]
    single = next(iter(diagnosis.classes)) if diagnosis and len(diagnosis.classes) == 1 else None
    return draw_mask(
        drawn,
        volume,
        out / "masks" / f"{case.case_id}.nii.gz",
        space=space,
        names=names,
        lesion=single if single in LESIONS else None,
    )


def _row(case: _Case, drawing: Drawing, diagnosis: Diagnosis | None) -> dict[str, str]:
    told = {name: str(case.series[name]) if pd.notna(case.series[name]) else "" for name in _KEPT}
    return {
        "case_id": case.case_id,
        "patient_id": str(case.series["patient_id"]),
        "image": f"images/{case.case_id}.nii.gz",
        "mask": f"masks/{case.case_id}.nii.gz" if drawing.states else "",
        "diagnosis": "" if diagnosis is None else ("|".join(sorted(diagnosis.classes)) or "normal"),
        "segments_left_out": "|".join(drawing.left_out),
        **told,
    }


def _states(diagnosis: Diagnosis | None, drawing: Drawing) -> dict[str, int]:
    """Label states of one case. What was drawn decides where it was drawn; the diagnosis decides the rest."""
    told: dict[str, int] = {}
    if diagnosis is not None:
        normal = dict.fromkeys((*LESIONS, "tumour"), 0)
        told = dict.fromkeys(diagnosis.classes, 1) if diagnosis.classes else normal
        if diagnosis.classes & set(LESIONS):
            told["tumour"] = 1
    if not drawing.states:
        return told
    contradicted = [name for name, state in drawing.states.items() if state == 1 and told.get(name) == 0]
    if diagnosis and contradicted:
        raise LabelError(
            f"{contradicted[0]} is drawn in a patient whom row {diagnosis.row} of the pathology table calls normal"
        )
    return {name: state for name, state in told.items() if state == 0} | dict(drawing.states)
