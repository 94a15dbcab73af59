"""Coarse to fine: the organ's box where it is plausible, the whole volume where it is not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from la_medical.grid import Grid
from la_medical.inference.coarse_to_fine import Finder, organ_box
from la_medical.inference.windows import SlidingWindow
from la_medical.training.working_grid import WorkingGrid


def test_the_box_is_the_largest_component_with_a_margin() -> None:
    p = np.zeros((40, 40, 20), np.float32)
    p[10:20, 12:22, 5:10] = 0.9  # 500 voxels of 4 x 4 x 5 mm: 40 ml
    p[35:37, 35:37, 15:17] = 1.0
    box = organ_box(p, np.array([4.0, 4.0, 5.0]), 10, (8, 400))
    assert box == (slice(8, 22), slice(10, 24), slice(3, 12))  # 10 mm are 2.5 voxels (2, to even) and 2


def test_an_implausible_organ_is_none() -> None:
    spacing = np.array([4.0, 4.0, 5.0])
    assert organ_box(np.zeros((10, 10, 10)), spacing, 10, (8, 400)) is None
    small = np.zeros((10, 10, 10))
    small[:2, :2, :2] = 1
    assert organ_box(small, spacing, 10, (8, 400)) is None
    assert organ_box(np.ones((40, 40, 40)), spacing, 10, (8, 400)) is None


class Bright(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([-torch.ones_like(images), images * 10], dim=1)


def test_the_finder_answers_in_voxels_of_the_fine_grid() -> None:
    grid = WorkingGrid.of(Grid((80, 80, 40), np.diag([1.0, 1.0, 2.0, 1.0])), None)
    image = torch.zeros(grid.shape, dtype=torch.uint8)
    image[20:50, 30:60, 10:25] = 255  # 27 ml
    finder = Finder(
        Bright().eval(), 1, (4.0, 4.0, 4.0), SlidingWindow(window=(8, 8, 8)), torch.device("cpu"), margin=4.0
    )
    box = finder.find(image, grid)
    assert box is not None
    for part, (start, stop), step in zip(box, ((20, 50), (30, 60), (10, 25)), (4, 4, 2), strict=True):
        assert part.start <= start
        assert part.stop >= stop
        assert part.start >= start - 3 * step
        assert part.stop <= stop + 3 * step
    assert finder.find(torch.zeros_like(image), grid) is None
