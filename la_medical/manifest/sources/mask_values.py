"""Which classes a mask holds, from its values and the card's map of values to classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.card import SourceCard
from la_medical.progress import progress

_SLAB = 1 << 24


def read_mask(path: Path) -> NDArray:
    """A mask's values as they are stored, in the file's own axis order; raises `ManifestError`."""
    try:
        if path.name.endswith((".nii", ".nii.gz")):
            import nibabel

            return np.asanyarray(nibabel.load(path).dataobj)
        import SimpleITK as sitk  # noqa: N813 - the name its users know

        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except (
        Exception
    ) as error:  # zlib.error, EOFError, RuntimeError (ITK), ImageFileError: all mean a file to fetch again
        raise ManifestError(f"{path}: mask cannot be read ({' '.join(str(error).split())})") from error


def values_in(path: Path) -> set[int]:
    """The values other than 0 that occur in a mask; raises `ManifestError` where they are not whole numbers."""
    flat = read_mask(path).reshape(-1)
    found: set[int] = set()
    for start in range(0, flat.size, _SLAB):
        values = np.unique(flat[start : start + _SLAB])
        whole = np.rint(values.astype(np.float64))
        wrong = values[~np.isfinite(whole) | ~np.isclose(whole, values, rtol=0, atol=1e-3)]
        if wrong.size:
            raise ManifestError(f"{path}: holds {wrong[0]}; a mask holds whole numbers")
        found |= {int(value) for value in whole}
    return found - {0}


def values_of_all(root: Path, masks: Sequence[str], *, what: str) -> list[set[int] | None]:
    """`values_in` of each mask below `root`, in order, None where the name is blank. Reads several at once."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        answers = pool.map(lambda name: values_in(root / name) if name else None, masks)
        return list(progress(answers, what=what, total=len(masks)))


def states_of_masks(
    masks: Sequence[str], values: Iterable[set[int] | None], card: SourceCard
) -> list[Mapping[str, int]]:
    """Per mask, 1 or 0 for each class that the card's `mask_values` lead to; empty where there is no mask.

    Raises `LabelError` for a value that the card does not list.
    """
    annotated = sorted({name for names in card.mask_values.values() for name in names})
    stated: list[Mapping[str, int]] = []
    for mask, found in zip(masks, values, strict=True):
        if found is None:
            stated.append({})
            continue
        unknown = found - set(card.mask_values)
        if unknown:
            known = ", ".join(map(str, sorted(card.mask_values)))
            raise LabelError(
                f"{mask}: holds value {min(unknown)}, which the card of {card.name} does not list (it lists 0, {known})"
            )
        present = {name for value in found for name in card.mask_values[value]}
        stated.append({name: int(name in present) for name in annotated})
    return stated
