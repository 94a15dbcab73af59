"""Trivial statistics of a picture: what no reader of the image would call a finding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from la_medical.manifest.audit.fingerprints import shrink
from la_medical.manifest.audit.pictures import Picture, canonical

THUMBNAIL = 8


def gray_of(picture: Picture) -> NDArray[np.float32]:
    """(H, W): a plain image as the mean of its channels, a volume as its mean along the axis from foot to head."""
    array = picture.array
    if picture.is_volume:
        return np.asarray(canonical(picture).mean(axis=2, dtype=np.float64), dtype=np.float32)
    gray = np.asarray(array, dtype=np.float32)
    while gray.ndim > 2:
        gray = gray.mean(axis=-1)
    return gray


def trivial_statistics(picture: Picture, gray: NDArray[np.float32], size_bytes: int) -> dict[str, float]:
    """File size, brightness, contrast, sharpness and size; sharpness is the variance of the Laplacian.

    Of a volume, brightness and contrast are those of all voxels, sharpness that of its middle slice.
    """
    plane = gray
    if picture.is_volume:
        plane = np.asarray(canonical(picture)[:, :, picture.array.shape[2] // 2], dtype=np.float32)
    values = np.asarray(picture.array if picture.is_volume else gray, dtype=np.float32)
    low, middle, high = np.percentile(values[:: 1 + values.shape[0] // 256], [5, 50, 95])
    found = {
        "file_kib": size_bytes / 1024,
        "mean": float(values.mean(dtype=np.float64)),
        "contrast": float(values.std(dtype=np.float64)),
        "percentile_5": float(low),
        "median": float(middle),
        "percentile_95": float(high),
        "sharpness": _laplacian_variance(plane),
        "edges": _mean_gradient(plane),
        "bytes_a_pixel": size_bytes / max(1, picture.array.size),
    }
    for axis, length in enumerate(picture.array.shape[:3] if picture.is_volume else gray.shape):
        found[f"size_{axis}"] = float(length)
    if picture.affine is not None:
        for axis, step in enumerate(np.sqrt((picture.affine[:3, :3] ** 2).sum(axis=0))):
            found[f"spacing_{axis}"] = float(step)
    return found


def thumbnail(gray: NDArray[np.float32]) -> dict[str, float]:
    """The 64 values of the picture at 8 x 8."""
    return {f"cell_{index}": float(value) for index, value in enumerate(shrink(gray, THUMBNAIL).ravel())}


def _laplacian_variance(gray: NDArray[np.float32]) -> float:
    if min(gray.shape) < 3:
        return 0.0
    centre = gray[1:-1, 1:-1]
    return float((gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * centre).var())


def _mean_gradient(gray: NDArray[np.float32]) -> float:
    if min(gray.shape) < 2:
        return 0.0
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())
