"""A patient's upper abdomen: body wall, organs, vessels, and a curved pancreas with its ducts.

Sizes follow manual label maps of contrast-enhanced CT: pancreas 43 to 134 ml (median 75), about 18 mm thick; main duct
3 mm, up to 9 mm when it is obstructed; attenuation as in the portal venous phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from la_medical.phantoms.ct_canvas import Canvas, ellipsoid, smooth_noise, tube

Field = NDArray[np.floating[Any]]

TISSUES = {
    "pdac": 1, "cyst": 2, "pannet": 3, "pancreas": 4, "duct": 5, "veins": 6, "arteries": 7, "bile_duct": 8,
    "liver": 9, "spleen": 10, "kidney": 11, "stomach": 12, "duodenum": 13,
}  # fmt: skip
"""Tissue to its value in a full label map. Lesions and duct lie inside the pancreas."""

_HEAD_TO_TAIL = np.array([[42, -4, -34], [38, 2, -12], [14, 18, 2], [-14, 20, 10], [-45, 2, 18], [-76, -22, 28]], float)
_RADII = np.array([11.5, 14.0, 8.0, 9.5, 9.5, 7.5])
STEPS = 90


@dataclass(frozen=True)
class Patient:
    """The build of one patient.

    `line` (90, 3) and `radii` (90,): the pancreas from head (0) to tail (89), mm. `duct` (90,): radius of the main
    duct, mm. `body`: half axes of the trunk in x and y, mm. `fat`: thickness below the skin, mm. `pancreas_hu`,
    `enhancement`: HU of the parenchyma, and factor on how far blood and organs are enhanced.
    """

    line: Field
    radii: Field
    duct: Field
    body: tuple[float, float]
    fat: float
    pancreas_hu: float
    enhancement: float
    bile_radius: float

    @staticmethod
    def draw(generator: np.random.Generator) -> Patient:
        """A random adult."""
        knots = _HEAD_TO_TAIL * generator.uniform(0.9, 1.1) + generator.normal(0, 3.5, _HEAD_TO_TAIL.shape)
        along = np.linspace(0, 1, len(knots))
        fine = np.linspace(0, 1, STEPS)
        size = generator.uniform(0.92, 1.22)
        width = CubicSpline(along, _RADII * size * generator.uniform(0.9, 1.1, len(knots)))(fine)
        wide_duct = generator.random() < 0.15  # age alone widens a duct
        duct = np.interp(fine, (0, 1), (1.9, 1.1)) * (generator.uniform(1.3, 1.9) if wide_duct else 1.0)
        return Patient(
            line=CubicSpline(along, knots)(fine),
            radii=width,
            duct=duct,
            body=(generator.uniform(138, 160), generator.uniform(96, 116)),
            fat=generator.uniform(8, 22),
            pancreas_hu=generator.uniform(85, 115),
            enhancement=generator.uniform(0.85, 1.15),
            bile_radius=generator.uniform(2.0, 3.6),
        )


def paint_body(canvas: Canvas, patient: Patient, generator: np.random.Generator) -> None:
    """Skin, fat, wall, spine and the organs around the pancreas."""
    x, y = canvas.axes[0][:, None, None], canvas.axes[1][None, :, None]
    a, b = patient.body
    whole = (slice(None),) * 3
    radius = np.hypot(x / a, y / b) + np.zeros_like(canvas.hu)
    canvas.paint(whole, (1 - radius) * b, -102)
    canvas.paint(whole, (1 - radius) * b - patient.fat, 58)
    canvas.paint(whole, (1 - radius) * b - patient.fat - 12, -98)
    grain = smooth_noise(generator, canvas.hu.shape, canvas.spacing, 9.0)
    canvas.hu += 7 * grain * (canvas.hu > -300)
    bright = patient.enhancement
    wander = generator.normal(0, 4, (12, 3))
    for centre, radii, hu, label in (
        ((82, 12, 28), (62, 66, 62), 108 * bright, "liver"),
        ((45 - a, -30, 34), (26, 42, 40), 118 * bright, "spleen"),
        ((62, -52, -22), (23, 26, 46), 165 * bright, "kidney"),
        ((-62, -52, -16), (23, 26, 46), 165 * bright, "kidney"),
    ):
        _organ(canvas, np.add(centre, wander[len(radii)]), radii, hu, TISSUES[label], generator)
    box, inside = ellipsoid(canvas, (0, -70, 0), (22, 20, 400))
    canvas.paint(box, inside, 190 + 60 * smooth_noise(generator, inside.shape, canvas.spacing, 3.0))
    canvas.paint(box, 3 - np.abs(inside - 2), 380)
    _hollow(canvas, np.add((-52, 52, 34), wander[5]), (38, 24, 30), generator, TISSUES["stomach"])
    for position in wander[6:11]:  # loops of bowel below and in front
        centre = position + generator.uniform((-85, 38, -60), (85, 62, -15))
        _hollow(canvas, centre, tuple(generator.uniform(12, 20, 3)), generator, None)
    _hollow(canvas, np.add((58, 34, 4), wander[11]), (13, 13, 20), generator, None, content=(2, 16))  # gall bladder


def _organ(
    canvas: Canvas, centre: Field, radii: tuple[float, ...], hu: float, label: int, generator: np.random.Generator
) -> None:
    box, inside = ellipsoid(canvas, centre, (radii[0], radii[1], radii[2]))
    inside = inside + 2.5 * smooth_noise(generator, inside.shape, canvas.spacing, 22.0)
    canvas.paint(box, inside, hu + 5 * smooth_noise(generator, inside.shape, canvas.spacing, 6.0), label)


def _hollow(
    canvas: Canvas,
    centre: Field,
    radii: tuple[float, ...],
    generator: np.random.Generator,
    label: int | None,
    content: tuple[float, float] = (5, 60),
) -> None:
    box, inside = ellipsoid(canvas, centre, (radii[0], radii[1], radii[2]))
    inside = inside + 1.8 * smooth_noise(generator, inside.shape, canvas.spacing, 12.0)
    canvas.paint(box, inside, generator.uniform(75, 110), label)
    canvas.paint(box, inside - generator.uniform(2.2, 3.5), generator.uniform(*content), None)


def paint_vessels(canvas: Canvas, patient: Patient, generator: np.random.Generator) -> None:
    """Aorta, caval vein, mesenteric artery and vein, splenic and portal vein, splenic artery along the pancreas."""
    z = np.linspace(-110, 110, 60)
    blood = 150 * patient.enhancement
    neck = patient.line[30]
    sway = generator.normal(0, 2, (4, 1, 2))

    def upright(x: float, y: float, radius: float, hu: float, label: str, low: float = -110, high: float = 110) -> None:
        points = np.stack([np.full_like(z, x), np.full_like(z, y), z], axis=1)
        points[:, :2] += sway[0] * np.sin(z / 40)[:, None]
        kept = (z > low) & (z < high)
        box, inside = tube(canvas, points[kept], np.full(kept.sum(), radius))
        canvas.paint(box, inside, hu, TISSUES[label])

    upright(-10, -40, generator.uniform(9, 11), blood * 1.05, "arteries")
    upright(20, -40, generator.uniform(10, 12), blood * 0.95, "veins")
    upright(neck[0] - 8, neck[1] - 24, 4.0, blood * 1.05, "arteries", high=20)
    upright(neck[0] + 6, neck[1] - 17, 6.0, blood, "veins", high=float(neck[2]) + 2)
    behind = patient.line[30:] - np.outer(patient.radii[30:] * 0.75 + 4.5, (0, 1, 0))
    box, inside = tube(canvas, behind, np.full(len(behind), generator.uniform(3.8, 5.0)))
    canvas.paint(box, inside, blood, TISSUES["veins"])
    portal = neck - (-4, 14, 0) + np.outer(np.linspace(0, 1, 20), (38, 2, 42))
    box, inside = tube(canvas, portal, np.full(20, 6.0))
    canvas.paint(box, inside, blood, TISSUES["veins"])
    wave = np.sin(np.linspace(0, generator.uniform(9, 15), 55) + sway[1, 0, 0])
    above = patient.line[35:] + np.outer(patient.radii[35:] + 3.0, (0, -0.3, 0.9)) + np.outer(wave, (0, 2.5, 3.0))
    box, inside = tube(canvas, above, np.full(len(above), 2.3))
    canvas.paint(box, inside, blood * 1.1, TISSUES["arteries"])


def paint_pancreas(canvas: Canvas, patient: Patient, generator: np.random.Generator) -> None:
    """Lobulated parenchyma with fat between the lobules, main duct, bile duct and the duodenum around the head."""
    head = patient.line[8]
    turn = np.linspace(-2.4, 1.2, 40)
    loop = head + np.stack([16 + 14 * np.cos(turn / 1.5), -2 + 0 * turn, 26 * np.sin(turn / 1.5)], axis=1)
    box, inside = tube(canvas, loop, np.full(40, generator.uniform(8, 11)))
    inside = inside + 1.2 * smooth_noise(generator, inside.shape, canvas.spacing, 8.0)
    canvas.paint(box, inside, generator.uniform(80, 105), TISSUES["duodenum"])
    canvas.paint(
        box, inside - 3, generator.uniform(5, 50) + 15 * smooth_noise(generator, inside.shape, canvas.spacing, 10.0)
    )
    box, inside = tube(canvas, patient.line, patient.radii, margin=6.0)
    lobes = smooth_noise(generator, inside.shape, canvas.spacing, 5.0)
    inside = inside + 1.1 * lobes + 0.8 * smooth_noise(generator, inside.shape, canvas.spacing, 12.0)
    clefts = np.clip(smooth_noise(generator, inside.shape, canvas.spacing, 3.0) - 1.1, 0, None)
    hu = patient.pancreas_hu + 6 * lobes - generator.uniform(15, 60) * clefts
    canvas.paint(box, inside, hu, TISSUES["pancreas"])
    bile = head + np.stack([np.full(40, 5.0), np.full(40, -5.0), np.linspace(-24, 70, 40)], axis=1)
    box, inside = tube(canvas, bile, np.full(40, patient.bile_radius))
    canvas.paint(box, inside, generator.uniform(3, 18), TISSUES["bile_duct"])


def paint_duct(canvas: Canvas, patient: Patient, duct: Field, generator: np.random.Generator) -> None:
    """The main duct with radius `duct` (90,), mm; 0 leaves it out."""
    open_part, hu = duct > 0.3, generator.uniform(8, 22)
    for part in np.split(np.arange(STEPS), np.flatnonzero(np.diff(open_part)) + 1):
        if open_part[part[0]] and len(part) > 1:
            box, inside = tube(canvas, patient.line[part], duct[part])
            canvas.paint(box, inside, hu, TISSUES["duct"])
