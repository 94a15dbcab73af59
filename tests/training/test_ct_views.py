"""CT views: both views stay aligned voxel by voxel with the targets; only intensities differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from la_medical.training.ct_views import CtViews, ct_views
from la_medical.training.prepared_volumes import network_input, windowed

TABLES = np.array([[[0, np.nan], [1, 0], [np.nan, np.nan]], [[0, 0], [0, 1], [np.nan, np.nan]]], np.float32)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 3, (4, 6, 8, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return labels[:, None] * 100, labels, torch.tensor([0, 1, 2, 5])  # brightness tells the label


def test_views_and_targets_stay_aligned_through_flips() -> None:
    images, labels, cases = batch()
    views = CtViews(tables=TABLES, seed=3, flip=0.5, scale=0.0, shift=0.0, noise=0.0, blur=0.0)
    weak, strong, targets = views(images, labels, cases=cases, epoch=1)
    assert torch.equal(weak, strong)
    seen = torch.round((weak / 4 + 0.5) * 255 / 100)[:, 0].long()
    for row, case in enumerate((0, 1, 0, 1)):  # positions beyond N are patches of the case modulo N
        expected = torch.from_numpy(TABLES[case])[seen[row]].movedim(-1, 0)
        torch.testing.assert_close(targets[row], expected, equal_nan=True)
    assert any(not torch.equal(seen[row], labels[row].long()) for row in range(4))


def test_the_strong_view_changes_intensities_more_and_the_same_numbers_come_again() -> None:
    images, labels, cases = batch()
    views = CtViews(tables=TABLES, seed=3, flip=0.0)
    weak, strong, _ = views(images, labels, cases=cases, epoch=4)
    plain = network_input(images)
    assert 0 < (weak - plain).abs().mean() < (strong - plain).abs().mean()
    again = views(images, labels, cases=cases, epoch=4)
    assert torch.equal(again[0], weak)
    assert torch.equal(again[1], strong)
    assert not torch.equal(views(images, labels, cases=cases, epoch=5)[0], weak)
    one = views(images[2:3], labels[2:3], cases=cases[2:3], epoch=4)  # whatever else is in the batch
    torch.testing.assert_close(one[1][0], strong[2])


class Fixed:
    """Draws that always give the same angle (degrees) and magnification."""

    def __init__(self, angle: float, zoom: float) -> None:
        self.values = {"rotate": angle, "zoom": zoom}

    def uniform(self, purpose: str, low: float, high: float) -> torch.Tensor:
        return torch.tensor([self.values[purpose]])


@pytest.mark.parametrize("shape", [(8, 8, 6), (10, 6, 4)])
def test_a_quarter_turn_is_rot90_and_what_comes_in_from_beyond_is_unknown(shape: tuple[int, int, int]) -> None:
    labels = torch.randint(0, 2, (1, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    views = CtViews(tables=TABLES, seed=0, rotate=90.0)
    grey, turned = views._turned(labels[:, None].float(), labels, Fixed(90.0, 1.0))  # type: ignore[arg-type]
    side = min(shape[:2])
    middle = tuple(slice((n - side) // 2, (n + side) // 2) for n in shape[:2])
    expected = torch.rot90(labels[0][middle], 1, (0, 1)).long()
    assert torch.equal(turned[0][middle], expected) or torch.equal(turned[0][middle], torch.rot90(expected, 2, (0, 1)))
    torch.testing.assert_close(grey[0, 0][middle], turned[0][middle].float(), atol=1e-4, rtol=0)
    beyond = turned == 2  # the last number of the tables: outside
    assert int(beyond.sum()) == (shape[0] - side) * side * shape[2]


def test_magnified_twice_the_middle_half_fills_the_patch() -> None:
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    labels[:, 2:6, 2:6, 2:6] = 1
    views = CtViews(tables=TABLES, seed=0, zoom=0.5)
    _, larger = views._turned(labels[:, None].float(), labels, Fixed(0.0, 2.0))  # type: ignore[arg-type]
    assert (larger == 1).all()
    _, smaller = views._turned(labels[:, None].float(), labels, Fixed(0.0, 0.5))  # type: ignore[arg-type]
    assert int((smaller == 1).sum()) == 8
    assert int((smaller == 2).sum()) == 8**3 - 4**3


def test_both_views_turn_alike_and_patches_of_one_batch_differ() -> None:
    images, labels, cases = batch()
    views = CtViews(tables=TABLES, seed=3, flip=0.0, flip_x=0.5, rotate=30, zoom=0.2, scale=0, shift=0, noise=0, blur=0)
    weak, strong, targets = views(images, labels, cases=cases, epoch=1)
    assert torch.equal(weak, strong)
    assert targets.isnan().all(dim=1).any()  # corners from beyond the patch
    again, _, _ = views(images[1:2], labels[1:2], cases=cases[1:2], epoch=1)
    torch.testing.assert_close(again[0], weak[1])


def test_erasing_makes_a_cube_mid_grey() -> None:
    images = torch.full((1, 1, 20, 20, 20), 255, dtype=torch.uint8)
    views = CtViews(tables=TABLES, seed=1, scale=0, shift=0, noise=0, blur=0, erase=0.8)
    _, strong, _ = views(images, images[:, 0] * 0, cases=torch.tensor([0]), epoch=2)
    gone = strong[0, 0] == 0
    assert gone.any()
    box = [int(gone.any(dim=[d for d in range(3) if d != axis]).sum()) for axis in range(3)]
    assert int(gone.sum()) == box[0] * box[1] * box[2]


def test_the_window_maps_hu_to_bytes() -> None:
    hu = torch.tensor([-1000.0, -160.0, 40.0, 240.0, 3000.0])
    assert windowed(hu.clone(), (-160, 240)).tolist() == [0, 0, 128, 255, 255]
    assert network_input(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-2.0, 2.0]


def test_a_setting_out_of_its_range_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        ct_views(tables=TABLES, seed=0, flip=2)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "la_medical: views::flip is 2; expected 0 to 1\n"
    with pytest.raises(SystemExit):
        ct_views(tables=TABLES, seed=0, zoom=0.95)
    assert capsys.readouterr().err == "la_medical: views::zoom is 0.95; expected 0 to 0.9\n"
