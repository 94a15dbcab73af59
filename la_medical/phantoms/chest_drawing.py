"""Draw one chest X-ray: a thorax built from sums of attenuating shapes, with findings added.

Coordinates are normalised: x from -1 (image left, the patient's right) to 1, y from -1 (top) to 1 (bottom). The value
drawn is a relative path length through tissue, so that shapes add up as they do in a projection; it becomes a grey
value at the end (bright = much tissue, MONOCHROME2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

Image = NDArray[np.floating[Any]]

FINDINGS = ("cardiomegaly", "effusion", "nodule", "pneumonia", "pneumothorax")
"""What can be drawn; an image with none of them is `no_finding`."""


@dataclass(frozen=True)
class Thorax:
    """The build of one patient, which stays the same from image to image. Lengths are in half image widths."""

    width: float
    lung_width: float
    lung_top: float
    diaphragm: float
    heart: float
    rib_gap: float
    rib_slope: float
    density: float

    @staticmethod
    def draw(generator: np.random.Generator) -> Thorax:
        """A random adult."""
        value = generator.uniform
        return Thorax(
            width=value(0.78, 0.95),
            lung_width=value(0.26, 0.32),
            lung_top=value(-0.80, -0.68),
            diaphragm=value(0.42, 0.58),
            heart=value(0.24, 0.33),
            rib_gap=value(0.15, 0.19),
            rib_slope=value(0.15, 0.35),
            density=value(0.85, 1.15),
        )


class Canvas:
    """The grid one image is drawn on, with the masks that findings need."""

    def __init__(self, thorax: Thorax, size: int, shift: tuple[float, float], turn: float, wide_heart: bool) -> None:
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        x, y = np.meshgrid(axis - shift[0], axis - shift[1])
        self.x = x * np.cos(turn) + y * np.sin(turn)
        self.y = y * np.cos(turn) - x * np.sin(turn)
        self.pixel = 2.0 / size
        self.thorax = thorax
        self.heart_width = thorax.heart * (1.45 if wide_heart else 1.0)
        self.lungs = {side: self._lung(side) for side in (-1, 1)}

    def edge(self, signed: Image, width: float = 0.02) -> Image:
        """A soft step: 1 well inside (`signed` > 0), 0 well outside."""
        return np.clip(signed / max(width, self.pixel) + 0.5, 0, 1)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, width: float = 0.03) -> Image:
        """A filled ellipse with a soft rim of about `width`."""
        radius = np.hypot((self.x - cx) / rx, (self.y - cy) / ry)
        return self.edge((1 - radius) * min(rx, ry), width)

    def lung_centre(self, side: int) -> float:
        """x of the middle of a lung; `side` is -1 (image left) or 1."""
        return side * self.thorax.width * 0.50

    def floor(self, side: int) -> Image:
        """y of the diaphragm's dome under a lung, for each pixel."""
        level = self.thorax.diaphragm - (0.05 if side < 0 else 0.0)  # the liver lifts the right dome
        return level + 0.9 * (self.x - self.lung_centre(side)) ** 2

    def _lung(self, side: int) -> Image:
        top, bottom = self.thorax.lung_top, self.thorax.diaphragm + 0.35
        body = self.ellipse(
            self.lung_centre(side), (top + bottom) / 2, self.thorax.lung_width, (bottom - top) / 2, 0.04
        )
        return body * self.edge(self.floor(side) - self.y, 0.04)


def anatomy(canvas: Canvas, generator: np.random.Generator) -> Image:
    """Soft tissue, lungs, heart, spine, ribs and lung vessels, without any finding."""
    thorax = canvas.thorax
    lungs = canvas.lungs[-1] + canvas.lungs[1]
    image = 1.1 * thorax.density * canvas.ellipse(0, 0.25, thorax.width, 1.5, 0.15)
    image += 0.5 * canvas.edge(canvas.y - thorax.diaphragm, 0.5)  # abdomen
    image -= 0.75 * lungs
    image += 0.35 * canvas.edge(0.07 - np.abs(canvas.x), 0.06)  # spine
    image += 0.35 * canvas.ellipse(0.02, -0.25, 0.13, 0.55, 0.08)  # mediastinum
    heart_x = 0.10 + 0.25 * (canvas.heart_width - 0.25)
    image += 0.50 * canvas.ellipse(heart_x, thorax.diaphragm - 0.20, canvas.heart_width, 0.27, 0.06)
    image += _ribs(canvas)
    return image + lungs * _vessels(canvas, generator)


def _ribs(canvas: Canvas) -> Image:
    thorax = canvas.thorax
    outward = np.abs(canvas.x)
    phase = (canvas.y - thorax.rib_slope * outward**2 * 2 + 0.8) / thorax.rib_gap
    ribs = np.clip(np.cos(2 * np.pi * phase) - 0.35, 0, None) * canvas.edge(thorax.width - 0.05 - outward, 0.1)
    front = (canvas.y + 1.1 * thorax.rib_slope * outward + 0.7) / (1.15 * thorax.rib_gap)
    ribs += 0.5 * np.clip(np.cos(2 * np.pi * front) - 0.5, 0, None) * canvas.edge(outward - 0.25, 0.1)
    clavicles = canvas.edge(0.025 - np.abs(canvas.y + 0.72 - 0.18 * outward), 0.02) * canvas.edge(0.75 - outward, 0.05)
    return 0.16 * ribs * canvas.edge(0.75 - canvas.y, 0.2) + 0.22 * clavicles


def _vessels(canvas: Canvas, generator: np.random.Generator) -> Image:
    """Branching-like texture, denser towards the hila."""
    size = len(canvas.x)
    fine = ridges(generator, size, 0.030) + 0.6 * ridges(generator, size, 0.016)
    hilum = np.exp(-((np.abs(canvas.x) - 0.22) ** 2) / 0.06 - (canvas.y + 0.05) ** 2 / 0.18)
    return 0.10 * fine * (0.4 + hilum) + 0.16 * hilum


def texture(generator: np.random.Generator, size: int, scale: float) -> Image:
    """Correlated noise of zero mean and unit deviation; `scale` is its length in image widths."""
    coarse = max(6, round(1.5 / scale))
    small = gaussian_filter(generator.standard_normal((coarse, coarse)).astype(np.float32), 0.8)
    large = zoom(small, size / coarse, order=1, grid_mode=True, mode="nearest")[:size, :size]
    return (large - large.mean()) / large.std()


def ridges(generator: np.random.Generator, size: int, scale: float) -> Image:
    """Thin bright lines: where correlated noise changes its sign."""
    return np.exp(-((texture(generator, size, scale) / 0.35) ** 2))


def _pneumonia(canvas: Canvas, generator: np.random.Generator) -> Image:
    """One to three patchy opacities, usually in the lower lung."""
    added = np.zeros_like(canvas.x)
    side = generator.choice((-1, 1))
    for _ in range(generator.integers(1, 4)):
        cx = canvas.lung_centre(side) + generator.uniform(-0.12, 0.12)
        cy = generator.uniform(-0.35, canvas.thorax.diaphragm - 0.12)
        radius = generator.uniform(0.13, 0.26)
        blob = np.exp(-((canvas.x - cx) ** 2 + (canvas.y - cy) ** 2) / (2 * (radius / 1.6) ** 2))
        patchy = np.clip(0.9 + 0.7 * texture(generator, len(canvas.x), 0.04), 0, 2)
        added += generator.uniform(0.20, 0.42) * blob * patchy
        if generator.random() < 0.3:
            side = -side
    return added * (canvas.lungs[-1] + canvas.lungs[1])


def _effusion(canvas: Canvas, generator: np.random.Generator) -> Image:
    """Fluid at the base with a meniscus that climbs along the outer chest wall."""
    side = int(generator.choice((-1, 1)))
    outward = side * canvas.x - canvas.thorax.width * 0.50
    level = canvas.thorax.diaphragm - generator.uniform(0.02, 0.22)
    surface = level - generator.uniform(0.25, 0.5) * np.clip(outward + 0.15, 0, None) ** 1.5 * 2
    return generator.uniform(0.45, 0.70) * canvas.lungs[side] * canvas.edge(canvas.y - surface, 0.07)


def _nodule(canvas: Canvas, generator: np.random.Generator) -> Image:
    """One round density of 4 to 8% of the image width."""
    side = generator.choice((-1, 1))
    cx = canvas.lung_centre(side) + generator.uniform(-0.16, 0.16)
    cy = generator.uniform(canvas.thorax.lung_top + 0.3, canvas.thorax.diaphragm - 0.15)
    radius = generator.uniform(0.045, 0.085)
    squeeze = generator.uniform(0.85, 1.15)
    return generator.uniform(0.28, 0.48) * canvas.ellipse(cx, cy, radius * squeeze, radius / squeeze, 0.035)


def _pneumothorax(canvas: Canvas, generator: np.random.Generator) -> Image:
    """A lung withdrawn from the outer wall: a dark rim without vessels, behind a thin pleural line."""
    side = int(generator.choice((-1, 1)))
    lung = canvas.lungs[side]
    shrink = generator.uniform(0.74, 0.88)
    top, bottom = canvas.thorax.lung_top, canvas.thorax.diaphragm + 0.35
    cx = canvas.lung_centre(side) - side * canvas.thorax.lung_width * (1 - shrink)
    drop = 0.25 * (1 - shrink)
    radius = np.hypot(
        (canvas.x - cx) / (canvas.thorax.lung_width * shrink),
        (canvas.y - (top + bottom) / 2 - drop) / (bottom - top) * 2,
    )
    outside = canvas.edge((radius - 1) * canvas.thorax.lung_width, 0.03)
    line = np.exp(-(((radius - 1) * canvas.thorax.lung_width / 0.014) ** 2))
    return lung * (0.20 * line - generator.uniform(0.14, 0.22) * outside)


_DRAWN = {"effusion": _effusion, "nodule": _nodule, "pneumonia": _pneumonia, "pneumothorax": _pneumothorax}


def draw(
    thorax: Thorax, findings: frozenset[str], generator: np.random.Generator, *, size: int = 192, dose: float = 1.0
) -> NDArray[np.uint8]:
    """One image of a patient.

    Args:
        thorax: the patient's build.
        findings: of `FINDINGS`.
        generator: everything random about this exposure: position, texture, where the findings lie, noise.
        size: image side, pixels.
        dose: relative exposure; noise falls with its square root.

    Returns:
        (size, size) grey values, bright where much tissue lies.
    """
    body, drawn, exposure = generator.spawn(3)  # apart, so that a finding changes nothing but itself
    shift = tuple(body.uniform(-0.06, 0.06, 2))
    canvas = Canvas(thorax, size, (shift[0], shift[1]), body.uniform(-0.06, 0.06), "cardiomegaly" in findings)
    path = anatomy(canvas, body)
    for finding in sorted(findings - {"cardiomegaly"}):
        path = path + _DRAWN[finding](canvas, drawn)
    path += 0.06 * texture(body, size, 0.25)  # what no shape above explains: folds, muscles, scatter
    path = gaussian_filter(path, 0.5)
    noise = exposure.standard_normal(path.shape).astype(np.float32)
    path += 0.045 / np.sqrt(dose) * (0.5 * noise + gaussian_filter(noise, 0.8))
    low, high = np.percentile(path, (1, 99))
    grey = np.clip((path - low) / (high - low), 0, 1) ** exposure.uniform(0.75, 1.35)
    grey = exposure.uniform(0.0, 0.10) + exposure.uniform(0.78, 0.90) * grey
    return np.round(255 * grey).astype(np.uint8)
