"""Probability maps: their exact values, reading one from a file, and writing the 4D form of predictions.

The 4D form (DESIGN section 4): uint16 = round(65535 p), one channel a class, NIfTI scale slope 1/65535. The slope is
a float32 in the file, so the value is taken as raw / 65535 and not as raw x slope. No torch here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import read_object, write_json, written_whole
from la_medical.errors import PredictionError
from la_medical.grid import Grid
from la_medical.nifti import NiftiFile

LEVELS = 65535
"""Steps of a stored probability."""
ROUNDING = 1e-6
"""Floats this far outside 0..1 are rounding (of an interpolation, or of a scale slope in float32) and are cut."""
NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")
VOLUME_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES


@dataclass(frozen=True)
class ProbabilityMap:
    """Probabilities of one class.

    `raw`: (X, Y, Z), integers or floats. `levels`: number of steps of an integer map (value = raw / levels); None for
    a float map, whose values are `raw`. `single`: values are rounded to float32, as picai_eval reads them.
    """

    raw: NDArray[Any]
    grid: Grid
    levels: int | None = None
    single: bool = False
    _table: NDArray[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = self.levels or 1
        steps = np.arange(levels + 1) / levels
        object.__setattr__(self, "_table", steps.astype(np.float32) if self.single else steps)

    def values(self, raw: Any) -> Any:
        """Probabilities of raw values."""
        return raw if self.levels is None else self._table[raw]

    def probabilities(self) -> NDArray[Any]:
        """The whole map (X, Y, Z) as floats."""
        return np.asarray(self.values(self.raw))

    def raw_threshold(self, threshold: Any) -> Any:
        """Smallest raw value whose probability is at least `threshold`; exact."""
        if self.levels is None:
            return self.raw.dtype.type(threshold)
        return int(np.searchsorted(self._table, self._table.dtype.type(threshold)))


def encode(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """round(65535 p) as uint16; raises `PredictionError` outside 0..1 or where not finite."""
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        low, high = probabilities.min(), probabilities.max()
        raise PredictionError(f"probabilities from {low:.4g} to {high:.4g}; expected 0 to 1 (apply the sigmoid first)")
    return np.rint(probabilities * np.float64(LEVELS)).astype(np.uint16)


def write_prediction(
    path: str | Path, array: NDArray[Any], affine: NDArray[np.floating[Any]], channels: Sequence[str]
) -> Path:
    """Write one case in the 4D form, and the folder's `labels.json` where there is none yet.

    Args:
        path: `<folder>/<case_id>.nii.gz`.
        array: (K, X, Y, Z) probabilities 0..1, or uint16 already encoded.
        affine: (4, 4), voxel to world, RAS+ mm.
        channels: the K class names.

    Raises:
        PredictionError: wrong shape or values, or a folder whose `labels.json` names other channels.
    """
    import nibabel

    if array.ndim != 4 or len(array) != len(channels):
        raise PredictionError(f"prediction of shape {array.shape}; expected ({len(channels)} classes, x, y, z)")
    stored = array if array.dtype == np.uint16 else encode(array)
    _name_channels(Path(path).parent, channels)
    image = nibabel.Nifti1Image(np.moveaxis(stored, 0, -1), affine)
    header = image.header.copy()
    header.set_data_dtype(np.uint16)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1 / LEVELS, 0)
    header["vox_offset"] = 352
    with written_whole(path) as temporary, temporary.open("wb") as file, _packed(file, path) as stream:
        stream.write(header.binaryblock + b"\0\0\0\0")
        for channel in stored:  # one by one: a copy of all of them may not fit into memory
            stream.write(channel.tobytes(order="F"))
    return Path(path)


def _name_channels(folder: Path, channels: Sequence[str]) -> None:
    names = folder / "labels.json"
    if not names.is_file():
        write_json(names, {"channels": list(channels)})
    elif read_object(names).get("channels") != list(channels):
        raise PredictionError(f"{names} names other channels than {list(channels)}; write into an empty folder")


def _packed(file: IO[bytes], path: str | Path) -> AbstractContextManager[Any]:
    import gzip

    if not str(path).endswith(".gz"):
        return nullcontext(file)
    return gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0)


@dataclass(frozen=True)
class StoredVolume:
    """A file opened for reading: `channels` is None for a 3D file; `maps` yields its volumes once, in order."""

    grid: Grid
    channels: int | None
    sha256: str
    maps: Iterator[NDArray[Any]]
    scale: tuple[float, float]


def open_volume(path: str | Path, *, count: int | None = None) -> StoredVolume:
    """Open NIfTI (own reader) or MetaImage and NRRD (SimpleITK); arrays are [x, y, z], affines RAS+."""
    source = Path(path)
    if source.name.endswith(NIFTI_SUFFIXES):
        file = NiftiFile(source)
        return StoredVolume(file.grid, file.channels, file.sha256, file.volumes(count), (file.slope, file.inter))
    if source.name.endswith(ITK_SUFFIXES):
        return _open_with_itk(source)
    raise PredictionError(f"{source}: expected a name that ends in one of {', '.join(VOLUME_SUFFIXES)}")


def _open_with_itk(source: Path) -> StoredVolume:
    import SimpleITK

    data = source.read_bytes()
    try:
        image = SimpleITK.ReadImage(str(source))
    except RuntimeError as error:
        raise PredictionError(f"{source}: cannot be read as {source.suffix[1:]} ({error})") from error
    if image.GetDimension() != 3:
        raise PredictionError(f"{source}: {image.GetDimension()} axes; expected 3")
    affine = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3], affine[:3, 3] = directions, image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS
    array = SimpleITK.GetArrayFromImage(image)
    volumes = [array.T] if array.ndim == 3 else [channel.T for channel in np.moveaxis(array, -1, 0)]
    shape = volumes[0].shape
    return StoredVolume(
        Grid((shape[0], shape[1], shape[2]), affine),
        None if array.ndim == 3 else len(volumes),
        hashlib.sha256(data).hexdigest(),
        iter(volumes),
        (1.0, 0.0),
    )


def as_probabilities(
    raw: NDArray[Any], grid: Grid, scale: tuple[float, float], named: str, *, single: bool = False
) -> ProbabilityMap:
    """A stored volume as probabilities, exact for uint8 and uint16 with slope 1/255 or 1/65535.

    Integers without a slope are hard masks and hold 0 and 1. Floats outside 0..1 by `ROUNDING` at most are cut. Raises
    `PredictionError` for NaN, values outside 0..1, or integers that are neither.
    """
    slope, inter = scale
    levels = _levels(raw.dtype, slope, inter)
    if levels is None:
        if (slope, inter) != (1.0, 0.0):
            raw = raw * slope + inter  # float64: what is a little off is the header's float32 slope
        elif raw.dtype.kind != "f":
            levels = 1
    if raw.dtype == np.float16 or (single and raw.dtype.kind == "f"):
        raw = raw.astype(np.float32)
    low = 0 if raw.dtype.kind == "u" else raw.min()
    high = raw.max()
    if raw.dtype.kind == "f" and low >= -ROUNDING and high <= 1 + ROUNDING:
        raw = raw.clip(0, 1) if low < 0 or high > 1 else raw
    elif not (low >= 0 and high <= (levels or 1)):
        hint = "a label map needs its values named (labels.json, dataset.json or --prediction-values)"
        came = "NaN" if np.isnan(high) else f"values from {low:.7g} to {high:.7g}"
        raise PredictionError(f"{named}: {came} where probabilities 0 to 1 are expected; {hint}")
    return ProbabilityMap(raw, grid, levels, single)


def _levels(dtype: np.dtype[Any], slope: float, inter: float) -> int | None:
    if inter == 0 and dtype.kind in "ui":
        for levels, size in ((LEVELS, 2), (255, 1)):
            if dtype.itemsize >= size and np.isclose(slope * levels, 1, rtol=1e-6, atol=0):
                return levels
    return None
