"""From a painted canvas to what a scanner writes: slices, blur, correlated noise, whole HU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from la_medical.phantoms.ct_canvas import Canvas


def acquire(
    canvas: Canvas, *, sub_slices: int, noise_hu: float, generator: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float64]]:
    """Average sub-slices (partial volume in z), blur as the scanner does, add noise.

    Args:
        canvas: painted at the in-plane spacing, and in z `sub_slices` (odd) times finer than the slices.
        sub_slices: how many make one slice.
        noise_hu: standard deviation of the noise in the result, HU.
        generator: of the noise.

    Returns:
        HU (X, Y, Z), tissue (X, Y, Z; at the middle of each slice), and the 4x4 RAS+ affine, mm.
    """
    slices = canvas.hu.shape[2] // sub_slices
    kept = slices * sub_slices
    shape = (*canvas.hu.shape[:2], slices, sub_slices)
    hu = canvas.hu[:, :, :kept].reshape(shape).mean(axis=3)
    tissue = canvas.label[:, :, sub_slices // 2 : kept : sub_slices]
    hu = gaussian_filter(hu, (0.55, 0.55, 0))
    white = generator.standard_normal(hu.shape).astype(np.float32)
    noise = gaussian_filter(white, (0.9, 0.9, 0.4)) - 0.6 * gaussian_filter(white, (2.2, 2.2, 0.4))
    hu += noise_hu * noise / noise.std()
    affine = np.diag([*canvas.spacing[:2], canvas.spacing[2] * sub_slices, 1.0])
    affine[:3, 3] = canvas.axes[0][0], canvas.axes[1][0], canvas.axes[2][sub_slices // 2]
    return _whole(hu), np.ascontiguousarray(tissue), affine


def _whole(hu: NDArray[Any]) -> NDArray[np.int16]:
    return np.clip(np.round(hu), -1024, 3071).astype(np.int16)
