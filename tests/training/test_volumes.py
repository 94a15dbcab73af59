"""Reading CT volumes: geometry survives every format, and what cannot be used is said in one line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from nibabel.affines import apply_affine

from la_medical.errors import InputError
from la_medical.grid import Grid
from la_medical.training.volumes import LEAST_VOXELS, Volume, read_image, read_mask
from la_medical.training.working_grid import WorkingGrid, nearest, resized


def rotation(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [a for a in range(3) if a != axis]
    turned = np.eye(3)
    turned[i, i], turned[j, j], turned[i, j], turned[j, i] = c, c, -s, s
    return turned


def affine_of(kind: str, spacing: tuple[float, float, float]) -> np.ndarray:
    turns = {
        "ras": np.eye(3),
        "lps": np.diag([-1.0, -1.0, 1.0]),
        "flipped": np.diag([1.0, -1.0, -1.0]),
        "permuted": np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]),
        "oblique": rotation(12, 0) @ rotation(-8, 2),
    }
    affine = np.eye(4)
    affine[:3, :3] = turns[kind] * np.array(spacing)
    affine[:3, 3] = (-31.5, 12.25, 80.0)
    return affine


KINDS = ("ras", "lps", "flipped", "permuted", "oblique")
SHAPE, SPACING = (30, 26, 14), (1.1, 1.7, 4.0)


def planted(affine: np.ndarray, shape: tuple[int, int, int], radius: float = 9.0) -> tuple[np.ndarray, np.ndarray]:
    """A volume of -50 HU with a ball of 100 HU, and the ball's centre in RAS world coordinates."""
    centre = apply_affine(affine, (np.array(shape) - 1) / 2 + (2.2, -3.1, 0.4))
    index = np.moveaxis(np.indices(shape), 0, -1)
    distance = np.linalg.norm(apply_affine(affine, index) - centre, axis=-1)
    return np.where(distance < radius, 100, -50).astype(np.int16), centre


def centre_found(weights: np.ndarray, affine: np.ndarray) -> np.ndarray:
    index = np.moveaxis(np.indices(weights.shape), 0, -1)
    return (apply_affine(affine, index) * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()


def write(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    if path.suffix == ".gz":
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
        return path
    image = SimpleITK.GetImageFromArray(array.T)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps / spacing).ravel().tolist())
    image.SetOrigin((affine[:3, 3] * (-1, -1, 1)).tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_a_planted_ball_is_where_it_was_put(tmp_path: Path, kind: str, suffix: str) -> None:
    affine = affine_of(kind, SPACING)
    array, centre = planted(affine, SHAPE)
    volume = read_image(write(tmp_path / f"ct{suffix}", array, affine))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-4)
    grid = WorkingGrid.of(volume.grid, (2.0, 2.0, 3.0))
    working = grid.image(volume.array).numpy() + 50
    assert np.linalg.norm(centre_found(working, grid.affine) - centre) < 0.5 * min(SPACING)
    back = grid.back(torch.from_numpy(working))
    assert back.shape == SHAPE
    assert np.linalg.norm(centre_found(back, affine) - centre) < 0.5 * min(SPACING)


@pytest.mark.parametrize("kind", KINDS)
def test_the_working_grid_runs_along_ras_and_keeps_the_outer_edges(kind: str) -> None:
    affine = affine_of(kind, SPACING)
    grid = WorkingGrid.of(file_grid(affine), (2.0, 2.0, 2.0))
    assert nibabel.aff2axcodes(grid.affine) == ("R", "A", "S")
    assert np.abs(grid.spacing - 2).max() < 0.15
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in SHAPE])).reshape(3, -1).T
    own = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape])).reshape(3, -1).T
    theirs = sorted(np.round(apply_affine(affine, corners), 3).tolist())
    np.testing.assert_allclose(sorted(np.round(apply_affine(grid.affine, own), 3).tolist()), theirs, atol=2e-3)


def file_grid(affine: np.ndarray) -> Grid:
    return Grid(SHAPE, affine)


def test_the_same_spacing_changes_nothing() -> None:
    affine = affine_of("permuted", SPACING)
    array, _ = planted(affine, SHAPE)
    grid = WorkingGrid.of(file_grid(affine), None)
    np.testing.assert_array_equal(grid.back(grid.image(array)), array)
    mask = (array > 0).astype(np.uint8)
    np.testing.assert_array_equal(grid.back(grid.mask(mask)), mask)


def test_resizing_averages_over_a_coarser_voxel_and_interpolates_in_a_finer_one() -> None:
    row = torch.tensor([0.0, 0.0, 4.0, 4.0]).reshape(4, 1, 1).expand(4, 3, 3)
    halved = resized(row, (2, 3, 3))[:, 0, 0]
    # Triangle filter of half width 2 centred at 0.5: weights 3/8, 3/8, 1/8 (of the voxels inside), so 4 x 1/7.
    assert halved[0] == pytest.approx(4 / 7, abs=1e-5)
    doubled = resized(torch.tensor([0.0, 4.0]).reshape(2, 1, 1).expand(2, 3, 3), (4, 3, 3))[:, 0, 0]
    torch.testing.assert_close(doubled, torch.tensor([0.0, 1.0, 3.0, 4.0]))
    assert nearest(np.array([1, 2, 3]).reshape(3, 1, 1), (6, 1, 1)).ravel().tolist() == [1, 1, 2, 2, 3, 3]


def good(tmp_path: Path) -> Volume:
    array, _ = planted(np.eye(4), (12, 12, 12))
    return read_image(write(tmp_path / "good.nii.gz", array, np.eye(4)))


def nan_volume(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    array[1, 2, 3] = np.nan
    return write(tmp_path / "x.nii.gz", array, np.eye(4))


def truncated(tmp_path: Path) -> Path:
    path = write(tmp_path / "x.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)), np.eye(4))
    path.write_bytes(path.read_bytes()[:5000])
    return path


def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "x.nii.gz"
    path.write_text("not a volume")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: d / "absent.nii.gz", "no such volume"),
        (lambda d: write(d / "x.nii.gz", np.zeros((9, 9, 9), np.int16), np.eye(4)), "every voxel is 0"),
        (lambda d: write(d / "x.nii.gz", np.ones((9, 9, 2), np.int16), np.eye(4)), f"at least {LEAST_VOXELS}"),
        (lambda d: write(d / "x.nii.gz", np.ones((9, 9, 9, 3), np.int16), np.eye(4)), "4 axes"),
        (nan_volume, "1 voxels are not finite"),
        (truncated, "ends early"),
        (text_file, "ends early"),
        (lambda d: d, "good.nii.gz|DICOM|no image|not"),
    ],
)
def test_what_is_no_usable_volume_is_said(tmp_path: Path, make, words: str) -> None:
    good(tmp_path)
    with pytest.raises(InputError, match=words) as raised:
        read_image(make(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("array", "affine", "words"),
    [
        (np.zeros((12, 12, 11), np.uint8), np.eye(4), "shape 12x12x11|shape"),
        (np.zeros((12, 12, 12), np.uint8), np.diag([1, 1, 2.0, 1]), "spacing"),
        (np.zeros((12, 12, 12), np.uint8), np.diag([-1, 1, 1.0, 1]), "direction"),
        (np.full((12, 12, 12), 0.5, np.float32), np.eye(4), "not whole numbers"),
        (np.full((12, 12, 12), 700, np.int16), np.eye(4), "expected 0 to 255"),
        (np.full((12, 12, 12), -1, np.int16), np.eye(4), "expected 0 to 255"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, array: np.ndarray, affine: np.ndarray, words: str) -> None:
    image = good(tmp_path)
    path = write(tmp_path / "mask.nii.gz", array, affine)
    with pytest.raises(InputError, match=words):
        read_mask(path, image, "good.nii.gz")


def test_a_mask_is_read_as_bytes(tmp_path: Path) -> None:
    image = good(tmp_path)
    mask = np.zeros((12, 12, 12), np.float32)
    mask[3, 4, 5] = 200
    found = read_mask(write(tmp_path / "m.nii.gz", mask, np.eye(4)), image, "good")
    assert found.dtype == np.uint8
    assert np.argwhere(found).tolist() == [[3, 4, 5]]
    assert found[3, 4, 5] == 200
