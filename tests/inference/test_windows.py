"""Sliding windows: every voxel answered once, by what saw it best, with no more memory than a slab."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.inference.windows import ABSENT, SlidingWindow, importance, layers, sliding_window, starts_along


class Pointwise(nn.Module):
    """Two classes, each a function of its own voxel alone: windows must not change the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return torch.cat([images * 2, -images + 1], dim=1)


@pytest.mark.parametrize("shape", [(20, 17, 25), (8, 8, 8), (5, 30, 9), (40, 8, 6)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_answers_of_single_voxels_do_not_depend_on_windows(shape: tuple[int, int, int], overlap: float) -> None:
    volume = torch.randn(shape)
    inferer = SlidingWindow(window=(8, 8, 8), overlap=overlap, batch=3, body_only=False)
    slabs = list(inferer.slabs(volume, Pointwise(), torch.device("cpu")))
    assert [first for first, _ in slabs] == np.cumsum([0, *[s.shape[-1] for _, s in slabs]])[:-1].tolist()
    whole = torch.cat([planes for _, planes in slabs], dim=-1)
    torch.testing.assert_close(whole, torch.stack([volume * 2, -volume + 1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(inferer(volume[None, None], Pointwise())[0], whole)


def test_the_weighted_mean_is_that_of_a_plain_loop() -> None:
    class Blur(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images - images.mean(dim=(2, 3, 4), keepdim=True)

    volume = torch.randn(14, 9, 13)
    inferer = SlidingWindow(window=(8, 8, 8), overlap=0.5, body_only=False)
    found = inferer(volume[None, None], Blur())[0, 0]
    sums, total, weight = torch.zeros(14, 9, 13), torch.zeros(14, 9, 13), importance((8, 8, 8))
    for layer in layers((14, 9, 13), (8, 8, 8), 0.5):
        for x, y, z in layer:
            box = (slice(x, x + 8), slice(y, y + 8), slice(z, z + 8))
            sums[box] += (volume[box] - volume[box].mean()) * weight
            total[box] += weight
    torch.testing.assert_close(found, sums / total, atol=1e-5, rtol=1e-5)


def test_windows_start_and_end_with_the_volume() -> None:
    for length in range(1, 60):
        for overlap in (0.0, 0.25, 0.5, 0.9):
            starts = starts_along(length, 8, overlap)
            covered = np.zeros(max(length, 8), int)
            for start in starts:
                covered[start : start + 8] += 1
            assert covered[:length].min() >= 1
            assert starts[0] == 0
            assert starts[-1] == max(0, length - 8)
            assert starts == sorted(set(starts))


def test_importance_is_highest_in_the_middle_and_never_zero() -> None:
    weight = importance((8, 6, 4))
    assert weight.shape == (8, 6, 4)
    assert weight.min() >= 1e-3
    assert weight[3:5, 2:4, 1:3].min() == weight.max()


def test_air_is_not_looked_at_and_answers_absent() -> None:
    volume = torch.zeros(32, 8, 24, dtype=torch.uint8)
    volume[2:6, 2:6, 10:14] = 200
    network = Pointwise()
    inferer = SlidingWindow(window=(8, 8, 8), overlap=0.0)
    whole = torch.cat([planes for _, planes in inferer.slabs(volume, network, torch.device("cpu"))], dim=-1)
    assert network.asked == 2  # the one with the body, and one to learn how many classes there are
    assert (whole[:, 8:] == ABSENT).all()
    assert whole[0, 3, 3, 11] == pytest.approx(2 * (200 / 255 - 0.5) * 4)


def test_flips_are_averaged_in_the_right_place() -> None:
    class Position(nn.Module):
        """Answers the place along z, so a flip that is not undone shows."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.arange(images.shape[-1], dtype=torch.float32).expand(images.shape)

    found = SlidingWindow(window=(8, 8, 8), flips=True, body_only=False)(torch.randn(1, 1, 8, 8, 8), Position())
    torch.testing.assert_close(found, torch.full_like(found, 3.5))  # the mean of z and 7 - z
    same = SlidingWindow(window=(8, 8, 8), flips=True, body_only=False)(torch.ones(1, 1, 8, 8, 8), Pointwise())
    torch.testing.assert_close(same[0, 0], torch.full((8, 8, 8), 2.0))


def test_sums_need_one_slab_only() -> None:
    volume = torch.ones(8, 8, 400, dtype=torch.uint8)
    volume[0, 0, 0] = 0
    first, planes = next(SlidingWindow(window=(8, 8, 8)).slabs(volume, Pointwise(), torch.device("cpu")))
    assert first == 0
    assert planes.shape == (2, 8, 8, 4)  # what no later window touches leaves at once


@pytest.mark.parametrize("settings", [{"window": "a"}, {"window": [8, 8]}, {"window": [8, 8, 8], "overlap": 0.95}])
def test_impossible_settings_end_with_one_line(settings: dict, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        sliding_window(**settings)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError):
        SlidingWindow(window=(8, 8, 8), overlap=1.0)
