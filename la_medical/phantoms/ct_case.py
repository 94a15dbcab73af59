"""Abdominal CT phantoms: one volume with planted lesions, about which everything is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError
from la_medical.phantoms.abdominal_anatomy import (
    TISSUES,
    Patient,
    paint_body,
    paint_duct,
    paint_pancreas,
    paint_vessels,
)
from la_medical.phantoms.abdominal_lesions import KINDS, Lesion, duct_with, paint_distractors, paint_lesion
from la_medical.phantoms.ct_acquisition import acquire
from la_medical.phantoms.ct_canvas import Canvas

WHOLE_BODY_MM = (330.0, 246.0, 132.0)
PANCREAS_MM = (186.0, 132.0, 108.0)
"""Fields of view: a slab of the trunk, and one closely around the pancreas (faster; no air, no whole liver)."""

PREVALENCE = {"pdac": 0.30, "cyst": 0.20, "pannet": 0.20}
"""Share of patients whose (first) lesion is of a kind; the others have none."""


@dataclass(frozen=True)
class Case:
    """One phantom volume. `hu` and `tissue` (values of `TISSUES`): (X, Y, Z). `affine`: RAS+, mm."""

    hu: NDArray[np.int16]
    tissue: NDArray[np.uint8]
    affine: NDArray[np.float64]
    lesions: list[Lesion] = field(default_factory=list)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size, mm."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))


def draw_case(
    kinds: tuple[str, ...],
    generator: np.random.Generator,
    *,
    field_mm: tuple[float, float, float] = WHOLE_BODY_MM,
    spacing: tuple[float, float, float] | None = None,
    noise_hu: float | None = None,
) -> Case:
    """One volume with a lesion of each of `kinds`.

    Args:
        kinds: of `KINDS`; empty for a patient without lesion.
        generator: everything random about it.
        field_mm: field of view, centred on the body, mm.
        spacing: voxel size, mm; None draws 1.4 to 2.2 mm in plane and 2 to 5 mm in z.
        noise_hu: standard deviation of the noise; None draws 9 to 20 HU.

    Raises:
        InputError: an unknown kind, or a spacing that is not positive.
    """
    anatomy, planted, machine = generator.spawn(3)  # apart: the same patient with and without a lesion
    patient = Patient.draw(anatomy)
    voxel = spacing or (*[float(machine.uniform(1.4, 2.2))] * 2, float(machine.uniform(2.0, 5.0)))
    if min(voxel) <= 0:
        raise InputError(f"spacing {voxel}: expected three lengths above 0 mm")
    sub_slices = max(1, 2 * int(voxel[2] / voxel[0] / 2) + 1)
    canvas = Canvas.empty(field_mm, (voxel[0], voxel[1], voxel[2] / sub_slices))
    lesions = [Lesion.draw(kind, patient, planted) for kind in kinds]
    paint_body(canvas, patient, anatomy)
    paint_vessels(canvas, patient, anatomy)
    paint_pancreas(canvas, patient, anatomy)
    paint_duct(canvas, patient, duct_with(lesions, patient, planted), anatomy)
    paint_distractors(canvas, patient, anatomy)
    for lesion in lesions:
        paint_lesion(canvas, lesion, patient, planted)
    noise = machine.uniform(9, 20) if noise_hu is None else noise_hu
    hu, tissue, affine = acquire(canvas, sub_slices=sub_slices, noise_hu=noise, generator=machine)
    for lesion in lesions:
        _keep_visible(tissue, affine, lesion)
    return Case(hu, tissue, affine, lesions)


def _keep_visible(tissue: NDArray[np.uint8], affine: NDArray[np.float64], lesion: Lesion) -> None:
    """A small lesion between two slices keeps one voxel of the map, so that label and mask agree."""
    value = TISSUES[lesion.kind]
    if not (tissue == value).any():
        nearest = np.round((np.array(lesion.centre) - affine[:3, 3]) / np.diag(affine)[:3]).astype(int)
        tissue[tuple(np.clip(nearest, 0, np.array(tissue.shape) - 1))] = value


def draw_cohort(
    patients: int, generator: np.random.Generator, prevalence: dict[str, float] | None = None
) -> list[tuple[str, ...]]:
    """Which lesions each of `patients` has: the shares are met as nearly as whole patients allow, in random order.

    Of those with a lesion 6% have a second one of another kind. Raises `InputError` for impossible shares.
    """
    shares = prevalence or PREVALENCE
    wrong = [kind for kind in shares if kind not in KINDS]
    if wrong or sum(shares.values()) > 1 + 1e-9:
        raise InputError(f"prevalence {shares}: expected shares of {', '.join(KINDS)} that add up to at most 1")
    bounds = np.rint(np.cumsum(list(shares.values())) * patients).astype(int)
    kinds = np.searchsorted(bounds, np.arange(patients), side="right")
    names = list(shares)
    cohort: list[tuple[str, ...]] = []
    for position in generator.permutation(patients):
        if kinds[position] >= len(names):
            cohort.append(())
            continue
        first = names[kinds[position]]
        others = [kind for kind in names if kind != first]
        second = generator.random() < 0.06 and bool(others)
        cohort.append((first, str(generator.choice(others))) if second else (first,))
    return cohort
