"""One look at the files of each case: every check that opens an image works on what is kept here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from la_medical.manifest.audit.fingerprints import of_pixels, perceptual
from la_medical.manifest.audit.pictures import Picture, UnreadableError, canonical, read_mask, read_picture
from la_medical.manifest.audit.trivial_statistics import gray_of, thumbnail, trivial_statistics
from la_medical.manifest.table import Manifest
from la_medical.progress import progress

ALONE = 200
"""Up to this many cases starting other processes costs more than it saves."""
MANY_VALUES = 256
"""Values of a mask that are kept; more than this is no label map."""


@dataclass(frozen=True)
class Inspection:
    """What one case's files are.

    `image`, `mask`: "" when good, else `missing`, `empty` or `unreadable: why`; `mask` is also "" where the row has
    none. `pixels`, `perceptual`: fingerprints, "" where there are none. `geometry`: how the mask's grid differs from
    the image's, "" where it does not. `values`: voxels of each mask value other than 0; None when it was not read.
    """

    image: str = ""
    mask: str = ""
    pixels: str = ""
    perceptual: str = ""
    statistics: dict[str, float] = field(default_factory=dict)
    thumbnail: dict[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    geometry: str = ""
    values: dict[float, int] | None = None


def inspect_files(manifest: Manifest, *, workers: int = 1) -> list[Inspection]:
    """An `Inspection` a row, in the order of the table, with `workers` processes."""
    jobs = list(zip(manifest.file_paths("image"), manifest.file_paths("mask"), strict=True))
    if workers <= 1 or len(jobs) <= ALONE:
        return [inspect_case(job) for job in progress(jobs, what="audit: files")]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = pool.map(inspect_case, jobs, chunksize=max(1, min(64, len(jobs) // (4 * workers))))
        return list(progress(found, what="audit: files", total=len(jobs)))


def pixel_fingerprints(manifest: Manifest, *, workers: int = 1) -> Sequence[str]:
    """Fingerprint of each row's decoded pixels, "" where the image cannot be read."""
    return [found.pixels for found in inspect_files(manifest, workers=workers)]


def inspect_case(paths: tuple[Path | None, Path | None]) -> Inspection:
    """Look at one case's image and mask; nothing is raised for a bad file, it is recorded."""
    image_path, mask_path = paths
    picture, image = _read(image_path, read_picture)
    mask, mask_fault = (None, "") if mask_path is None else _read(mask_path, read_mask)
    about: dict[str, object] = {"image": image, "mask": mask_fault}
    if picture is not None and image_path is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # a voxel may be infinite; its statistics then say so
            about |= _about_picture(picture, _size(image_path))
    if mask is not None:
        about["values"] = _mask_values(mask)
        about["geometry"] = "" if picture is None else geometry_difference(picture, mask)
    return Inspection(**about)  # type: ignore[arg-type]


def geometry_difference(image: Picture, mask: Picture) -> str:
    """How a mask's grid differs from its image's, "" if it does not.

    Shapes must be equal, and no corner of the grid may lie more than a hundredth of a voxel from the image's.
    """
    ours = image.array.shape[:3] if image.affine is not None else image.array.shape[:2]
    theirs = mask.array.shape[:3] if mask.affine is not None else mask.array.shape[:2]
    if ours != theirs:
        return f"mask {'x'.join(map(str, theirs))} on image {'x'.join(map(str, ours))}"
    if image.affine is None or mask.affine is None:
        return ""
    corners = np.array(np.meshgrid(*[(0, length - 1) for length in ours], (1,), indexing="ij")).reshape(4, -1)
    apart = np.linalg.norm(((image.affine - mask.affine) @ corners)[:3], axis=0).max()
    voxel = float(np.sqrt((image.affine[:3, :3] ** 2).sum(axis=0)).min())
    return f"corners are up to {apart:.3g} mm apart" if apart > 0.01 * voxel else ""


def _read(path: Path | None, reader: object) -> tuple[Picture | None, str]:
    if path is None or not path.exists():
        return None, "missing"
    if path.is_file() and path.stat().st_size == 0:
        return None, "empty"
    try:
        picture: Picture = reader(path)  # type: ignore[operator]
    except UnreadableError as error:
        return None, f"unreadable: {error}"
    return (None, "empty") if picture.array.size == 0 else (picture, "")


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def _about_picture(picture: Picture, size_bytes: int) -> dict[str, object]:
    gray = gray_of(picture)
    return {
        "faults": picture.faults,
        "pixels": of_pixels(canonical(picture)),
        "perceptual": "" if picture.is_volume else perceptual(gray),
        "statistics": trivial_statistics(picture, gray, size_bytes),
        "thumbnail": thumbnail(gray),
    }


def _mask_values(mask: Picture) -> dict[float, int]:
    values, counts = np.unique(mask.array, return_counts=True)
    kept = [(float(value), int(count)) for value, count in zip(values, counts, strict=True) if value != 0]
    return dict(kept[:MANY_VALUES])
