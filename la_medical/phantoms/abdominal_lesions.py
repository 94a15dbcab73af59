"""Lesions of the pancreas, and what looks like them beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError
from la_medical.phantoms.abdominal_anatomy import STEPS, TISSUES, Patient
from la_medical.phantoms.ct_canvas import Canvas, ellipsoid, smooth_noise

Field = NDArray[np.floating[Any]]

KINDS = ("pdac", "cyst", "pannet")
SMALLEST_MM, LARGEST_MM = 6.0, 35.0
ISOATTENUATING = 0.11
"""Share of PDACs that hardly differ from the parenchyma in the pancreatic phase (Prokesch et al., Radiology 2002: 11%);
the others lie tens of HU below it."""


@dataclass(frozen=True)
class Lesion:
    """One planted lesion.

    `kind`: of `KINDS`. `centre`: world RAS+, mm. `diameter`: of the ball it is deformed from, mm. `place`: index along
    the pancreas, 0 head to 89 tail. `difference`: its attenuation less the parenchyma's, HU.
    """

    kind: str
    centre: tuple[float, float, float]
    diameter: float
    place: int
    difference: float

    @staticmethod
    def draw(kind: str, patient: Patient, generator: np.random.Generator) -> Lesion:
        """A lesion of `kind` somewhere along the pancreas; raises `InputError` for another kind."""
        if kind not in KINDS:
            raise InputError(f"lesion {kind!r}: expected one of {', '.join(KINDS)}")
        place = int(generator.integers(4, STEPS - 4) if generator.random() < 0.4 else generator.integers(4, 35))
        diameter = float(np.exp(generator.uniform(np.log(SMALLEST_MM), np.log(LARGEST_MM))))
        direction = generator.normal(size=3)
        direction /= np.linalg.norm(direction)
        off = generator.uniform(0, 0.6) * patient.radii[place]
        centre = patient.line[place] + off * direction
        difference = {
            "pdac": -(generator.uniform(5, 20) if generator.random() < ISOATTENUATING else generator.uniform(30, 70)),
            "cyst": generator.uniform(2, 26) - patient.pancreas_hu,
            "pannet": generator.uniform(25, 80) * patient.enhancement,
        }[kind]
        return Lesion(kind, (float(centre[0]), float(centre[1]), float(centre[2])), diameter, place, float(difference))


def duct_with(lesions: list[Lesion], patient: Patient, generator: np.random.Generator) -> Field:
    """Radius (90,) of the main duct, mm: a PDAC stops it, and mostly dilates it upstream (towards the tail)."""
    duct = patient.duct.copy()
    for lesion in lesions:
        reach = lesion.diameter / 2
        along = np.linalg.norm(patient.line - patient.line[lesion.place], axis=1)
        if lesion.kind == "pdac":
            upstream = (np.arange(STEPS) > lesion.place) & (along > reach * 0.8)
            if generator.random() < 0.3 + 0.5 * min(1.0, lesion.diameter / 15):
                duct[upstream] = np.maximum(duct[upstream], generator.uniform(1.8, 4.5))
        duct[along < reach * 0.9] = 0
    return duct


def paint_lesion(canvas: Canvas, lesion: Lesion, patient: Patient, generator: np.random.Generator) -> None:
    """Blend a lesion in: PDAC irregular and fading into the parenchyma, cyst and PanNET round and sharp."""
    radius = lesion.diameter / 2
    stretch = generator.uniform(0.85, 1.18, 3)
    radii = tuple(float(v) for v in radius * stretch / np.prod(stretch) ** (1 / 3))
    box, inside = ellipsoid(canvas, lesion.centre, (radii[0], radii[1], radii[2]), margin=radius * 0.5 + 4)
    rough = smooth_noise(generator, inside.shape, canvas.spacing, max(3.0, radius * 0.6))
    hu = patient.pancreas_hu + lesion.difference
    label = TISSUES[lesion.kind]
    if lesion.kind == "pdac":
        grain = 7 * smooth_noise(generator, inside.shape, canvas.spacing, 3.0)
        canvas.paint(box, inside + 0.22 * radius * rough, hu + grain, label, soft_mm=2.5)
    elif lesion.kind == "cyst":
        canvas.paint(box, inside + 0.05 * radius * rough, hu, label)
        if radius > 8 and generator.random() < 0.4:
            canvas.paint(box, 0.7 - np.abs(rough * 4) - 100 * (inside < 0), patient.pancreas_hu * 0.7)  # septa
    else:
        canvas.paint(box, inside + 0.07 * radius * rough, hu + 8 * rough, label)
        if radius > 6 and generator.random() < 0.35:  # a centre without enhancement
            canvas.paint(box, inside - radius * generator.uniform(0.45, 0.7), hu - generator.uniform(50, 110))


def paint_distractors(canvas: Canvas, patient: Patient, generator: np.random.Generator) -> None:
    """What is beside or in any pancreas and is no lesion: nodes, accessory spleen, diverticulum, fatty patch."""
    for _ in range(generator.integers(1, 4)):  # lymph nodes
        _beside(canvas, patient, generator, 0, STEPS, generator.uniform(5, 11), generator.uniform(60, 92))
    if generator.random() < 0.35:  # accessory spleen: enhances as a PanNET does
        _beside(canvas, patient, generator, 60, STEPS, generator.uniform(7, 14), 118 * patient.enhancement)
    if generator.random() < 0.35:  # diverticulum or fluid in a fold of bowel: water as in a cyst
        _beside(canvas, patient, generator, 0, STEPS, generator.uniform(7, 18), generator.uniform(2, 30))
    if generator.random() < 0.35:  # curl of the splenic artery: bright and round
        _beside(canvas, patient, generator, 30, STEPS, generator.uniform(5, 9), 160 * patient.enhancement)
    if generator.random() < 0.25:
        _fatty_patch(canvas, patient, generator)


def _beside(
    canvas: Canvas,
    patient: Patient,
    generator: np.random.Generator,
    first: int,
    last: int,
    diameter: float,
    hu: float,
) -> None:
    place = generator.integers(first, last)
    direction = generator.normal(size=3)
    direction /= np.linalg.norm(direction)
    away = patient.radii[place] + diameter / 2 + generator.uniform(0.5, 5)
    radii = tuple(diameter / 2 * generator.uniform(0.8, 1.2, 3))
    box, inside = ellipsoid(canvas, patient.line[place] + away * direction, (radii[0], radii[1], radii[2]))
    outside_organs = canvas.label[box] == 0
    canvas.paint(box, np.where(outside_organs, inside, -100.0), hu)


def _fatty_patch(canvas: Canvas, patient: Patient, generator: np.random.Generator) -> None:
    """Focal fat in the parenchyma: as dark as a PDAC, but fading from its middle, with no mass and no dilated duct."""
    place = generator.integers(2, STEPS - 2)
    radius = generator.uniform(5, 13)
    box, inside = ellipsoid(canvas, patient.line[place], (radius, radius, radius), margin=2)
    share = np.clip(inside / radius, 0, 0.7) * (canvas.label[box] == TISSUES["pancreas"])
    canvas.hu[box] -= share * generator.uniform(30, 75)
