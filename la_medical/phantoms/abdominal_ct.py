"""Sources of abdominal CT phantoms: several partially labelled folders.

A source writes what its annotators looked for and nothing more: in the masks of one that knows only PDAC and the
pancreas, a cyst is pancreas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import yaml
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from la_medical.artifacts import write_text, written_whole
from la_medical.phantoms.abdominal_anatomy import TISSUES
from la_medical.phantoms.abdominal_lesions import KINDS
from la_medical.phantoms.ct_case import PANCREAS_MM, WHOLE_BODY_MM, Case, draw_case, draw_cohort
from la_medical.phantoms.wanted_sources import wanted_sources
from la_medical.progress import progress

SOURCES: Mapping[str, tuple[str, ...]] = {
    "phantom_ct_a": ("pdac", "cyst", "pannet", "pancreas", "duct"),
    "phantom_ct_b": ("pdac", "pancreas"),
    "phantom_ct_c": ("cyst", "pannet"),
    "phantom_ct_d": ("tumour",),
}
"""Source to the classes its annotators looked for; the last one only says where a lesion of any kind is."""

CLASSES = (*KINDS, "tumour", *(tissue for tissue in TISSUES if tissue not in KINDS))
MARK = "PHANTOM"
_ORIENTATIONS = ("RAS", "LPS", "LAS", "LPI")


def memberships(classes: Sequence[str]) -> dict[int, tuple[int, tuple[str, ...]]]:
    """Tissue value to (value in a mask of a source that knows `classes`, the classes such a voxel belongs to).

    Tissues that the source cannot tell apart share one value: that of the tissue it names, otherwise the smallest.
    """
    belongs = {
        value: tuple(name for name in classes if name in _classes_of(tissue)) for tissue, value in TISSUES.items()
    }
    shared: dict[tuple[str, ...], int] = {}
    for tissue, value in TISSUES.items():
        names = belongs[value]
        if names and (names not in shared or tissue in names):
            shared[names] = shared[names] if names in shared and _named(shared[names], names) else value
    return {value: (shared[names], names) for value, names in belongs.items() if names}


def _named(value: int, names: tuple[str, ...]) -> bool:
    return any(TISSUES.get(name) == value for name in names)


def _classes_of(tissue: str) -> set[str]:
    if tissue in KINDS:
        return {tissue, "tumour", "pancreas"}
    return {tissue, "pancreas"} if tissue == "duct" else {tissue}


def write_sources(
    out: str | Path,
    sources: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    patients: int = 24,
    seed: int = 0,
    *,
    spacing: tuple[float, float, float] | None = None,
    whole_body: bool = False,
    prevalence: dict[str, float] | None = None,
) -> list[Path]:
    """Write one folder a source: `images/*.nii.gz`, `masks/*.nii.gz`, `labels.csv`, `card.yaml`; deterministic bytes.

    Args:
        out: folder that receives `<source>/`.
        sources: source name to the classes it knows (of `CLASSES`), or names of `SOURCES`; None for all of `SOURCES`.
        patients: patients in each source, one volume each.
        seed: of everything that is random.
        spacing: voxel size, mm; None draws one a volume, 1.4 to 2.2 mm in plane and 2 to 5 mm in z.
        whole_body: a slab of the whole trunk instead of a field around the pancreas.
        prevalence: share of patients with each kind of lesion; None for `PREVALENCE`.

    Raises:
        InputError: a source name that does not start with `phantom`, an unknown class, no patients.
    """
    wanted = wanted_sources(sources, patients, known=SOURCES, drawn=CLASSES)
    folders = []
    for name, classes in wanted.items():
        folder = Path(out) / name
        drawing = {"spacing": spacing, "field_mm": WHOLE_BODY_MM if whole_body else PANCREAS_MM}
        _write_source(folder, name, tuple(classes), patients, seed, prevalence, drawing)
        folders.append(folder)
    return folders


def _write_source(
    folder: Path,
    name: str,
    classes: tuple[str, ...],
    patients: int,
    seed: int,
    prevalence: dict[str, float] | None,
    drawing: dict[str, Any],
) -> None:
    table = memberships(classes)
    lookup = np.zeros(max(TISSUES.values()) + 1, np.uint8)
    for tissue, (value, _) in table.items():
        lookup[tissue] = value
    rows = []
    cohort = draw_cohort(patients, np.random.default_rng([seed, *name.encode()]), prevalence)
    for patient in progress(range(patients), what=f"drawing {name}"):
        generator = np.random.default_rng([seed, patient, *name.encode()])
        case = draw_case(cohort[patient], generator, **drawing)
        case_id = f"{name}_{patient:04d}"
        image, mask = f"images/{case_id}.nii.gz", f"masks/{case_id}.nii.gz"
        masked = lookup[case.tissue]
        orientation = str(generator.choice(_ORIENTATIONS))
        write_volume(folder / image, case.hu, case.affine, orientation)
        write_volume(folder / mask, masked, case.affine, orientation)
        rows.append([case_id, case_id, image, mask, *_states(classes, masked, table), _planted(case)])
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(["case_id", "patient_id", "image", "mask", *(f"label.{label}" for label in classes), "planted"])
    lines.writerows(rows)
    write_text(folder / "labels.csv", stream.getvalue())
    write_text(folder / "card.yaml", yaml.safe_dump(_card(name, classes, table), sort_keys=False, width=110))


def _states(classes: Sequence[str], mask: NDArray[Any], table: Mapping[int, tuple[int, tuple[str, ...]]]) -> list[int]:
    present = set(np.unique(mask).tolist())
    found = {label for value, names in table.values() if value in present for label in names}
    return [int(label in found) for label in classes]


def _planted(case: Case) -> str:
    """What is truly there, for checks: kind, diameter in mm and RAS+ centre; no part of the labels."""
    return "; ".join(
        f"{lesion.kind} {lesion.diameter:.1f} mm at " + " ".join(f"{c:.1f}" for c in lesion.centre)
        for lesion in case.lesions
    )


def write_volume(path: Path, values: NDArray[Any], affine: NDArray[Any], orientation: str = "RAS") -> None:
    """Write a NIfTI in another orientation of its axes; the world coordinates of every voxel stay."""
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header["descrip"] = MARK
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(orientation)))
    with written_whole(path) as temporary:
        nibabel.save(image.as_reoriented(turn), temporary)


def _card(name: str, classes: tuple[str, ...], table: Mapping[int, tuple[int, tuple[str, ...]]]) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"{MARK} abdominal CT, drawn by la_medical; it shows no patient",
        "licence": "Apache-2.0",
        "label_space": "pancreatic_ct",
        "classes": list(classes),
        "mask_values": {value: list(names) for value, names in sorted(set(table.values()))},
        "blank_means": "the class was not looked for in this source",
        "patient_id": "one volume a patient",
        "phantom": True,
    }
