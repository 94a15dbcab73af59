"""The weak and the strong view of CT patches, made for a whole batch on its device. 3D only.

Both views share one change of geometry (flips, a turn, a zoom), so every voxel of one is the same voxel of the other;
the strong view changes intensities only (paper, Sec. 2: consistency needs aligned answers).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.training.draws import Draws
from la_medical.training.prepared_volumes import network_input
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import number
from la_medical.training.voxel_targets import Tables, targets_at


class CtViews:
    """Both views of a batch, and its voxel targets from label maps and the tables of its cases.

    Args:
        tables: (N, V, K) of `voxel_tables`.
        seed: of the run.
        flip: probability of a flip along y and along z.
        flip_x: the same along x; 0 in the abdomen, where left and right differ (the liver is on the right).
        rotate: largest turn about the z axis, degrees, on a grid of equal spacing in x and y.
        zoom: magnification within 1 - zoom .. 1 + zoom.
        scale: weak view: contrast within 1 - scale .. 1 + scale.
        shift: weak view: brightness within +-shift of the window's width.
        strong: factor on scale and shift for the strong view.
        noise: strong view: standard deviation of white noise, even over 0..noise of the window's width.
        blur: strong view: probability of a 3 x 3 x 3 mean.
        erase: strong view: side of an erased cube, even over 0..erase of the patch's side.
    """

    def __init__(
        self,
        *,
        tables: Tables,
        seed: int,
        flip: float = 0.5,
        flip_x: float = 0.0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        scale: float = 0.1,
        shift: float = 0.05,
        strong: float = 2.5,
        noise: float = 0.06,
        blur: float = 0.3,
        erase: float = 0.0,
    ) -> None:
        self.tables = torch.from_numpy(np.ascontiguousarray(tables))
        self.seed, self.scale, self.shift = seed, scale, shift
        self.flip, self.flip_x, self.rotate, self.zoom = flip, flip_x, rotate, zoom
        self.strong, self.noise, self.blur, self.erase = strong, noise, blur, erase

    def __call__(self, images: Tensor, targets: Tensor, *, cases: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Network inputs of both views, and targets (B, K, X, Y, Z) with NaN for unknown.

        Args:
            images: (B, 1, X, Y, Z) uint8.
            targets: (B, X, Y, Z) uint8, numbers of mask values.
            cases: (B,) position of the case, plus any multiple of N to tell patches of one case apart.
            epoch: counted from 1.
        """
        if self.tables.device != images.device:
            self.tables = self.tables.to(images.device)
        weak_draws = Draws(seed=self.seed, epoch=epoch, cases=cases, view="weak")
        images, labels = self._flipped(images, targets, weak_draws)
        grey = images.float().div_(255.0)
        if self.rotate or self.zoom:
            grey, labels = self._turned(grey, labels, weak_draws)
        weak = self._contrast(grey, weak_draws, 1.0)
        strong_draws = Draws(seed=self.seed, epoch=epoch, cases=cases, view="strong")
        strong = self._erased(self._noisy(self._contrast(grey, strong_draws, self.strong), strong_draws), strong_draws)
        known = targets_at(labels, self.tables[cases % len(self.tables)])
        return network_input(weak), network_input(strong), known

    def _flipped(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        for axis, name, share in ((-3, "flip x", self.flip_x), (-2, "flip y", self.flip), (-1, "flip z", self.flip)):
            if not share:
                continue
            turned = draws.chance(name, share)
            images = torch.where(turned[:, None, None, None, None], images.flip(axis), images)
            labels = torch.where(turned[:, None, None, None], labels.flip(axis), labels)
        return images, labels

    def _turned(self, grey: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Turned about z and magnified around the middle: the image linearly, labels by the nearest voxel.

        What comes in from beyond the patch is the outermost voxel in the image, and unknown in the labels.
        """
        angle = draws.uniform("rotate", -self.rotate, self.rotate) * (math.pi / 180)
        shrink = 1 / draws.uniform("zoom", 1 - self.zoom, 1 + self.zoom)
        nx, ny = grey.shape[2:4]
        # grid_sample's axes are (z, y, x) of the array, each -1..1 over its own length.
        theta = grey.new_zeros(len(grey), 3, 4)
        theta[:, 0, 0] = shrink
        theta[:, 1, 1] = theta[:, 2, 2] = shrink * angle.cos()
        theta[:, 1, 2] = shrink * angle.sin() * (nx / ny)
        theta[:, 2, 1] = -shrink * angle.sin() * (ny / nx)
        grid = functional.affine_grid(theta, list(grey.shape), align_corners=False)
        grey = functional.grid_sample(grey, grid, padding_mode="border", align_corners=False)
        outside = self.tables.shape[1] - 1
        shifted = (labels[:, None] + 1.0).to(grey.dtype)  # 0 is left for what lies beyond
        found = functional.grid_sample(shifted, grid, mode="nearest", align_corners=False)[:, 0].round().long()
        return grey, torch.where(found > 0, found - 1, outside)

    def _contrast(self, grey: Tensor, draws: Draws, strength: float) -> Tensor:
        span = self.scale * strength
        factor = draws.uniform("scale", 1 - span, 1 + span)[:, None, None, None, None]
        added = draws.uniform("shift", -self.shift * strength, self.shift * strength)[:, None, None, None, None]
        return (grey - 0.5) * factor + 0.5 + added

    def _noisy(self, grey: Tensor, draws: Draws) -> Tensor:
        smooth = functional.avg_pool3d(functional.pad(grey, (1,) * 6, mode="replicate"), 3, stride=1)
        grey = torch.where(draws.chance("blur", self.blur)[:, None, None, None, None], smooth, grey)
        strength = draws.uniform("noise", 0.0, self.noise)[:, None, None, None, None]
        return grey + strength * draws.normal("noise", *grey.shape[1:])

    def _erased(self, grey: Tensor, draws: Draws) -> Tensor:
        if not self.erase:
            return grey
        half = draws.uniform("erased side", 0.0, self.erase) / 2
        centre = draws.uniform("erased centre", 0.0, 1.0, 3)
        gone = torch.ones((), dtype=torch.bool, device=grey.device)
        for axis, size in enumerate(grey.shape[2:]):
            place = (torch.arange(size, device=grey.device) + 0.5) / size
            near = (place[None] - centre[:, axis : axis + 1]).abs() < half[:, None]
            gone = gone & near.reshape(len(grey), 1, *[size if a == axis else 1 for a in range(3)])
        return torch.where(gone, 0.5, grey)


@stops_on_bad_input
def ct_views(*, tables: Tables, seed: int, **settings: Any) -> CtViews:
    """`CtViews` from values of a config; exit code 2 for one out of its range."""
    checked = {name: number(f"views::{name}", value, least=0) for name, value in settings.items()}
    for name in {"flip", "flip_x", "blur", "erase", "scale", "zoom"} & set(checked):
        if checked[name] > (0.9 if name == "zoom" else 1):
            raise InputError(f"views::{name} is {checked[name]:g}; expected 0 to {0.9 if name == 'zoom' else 1}")
    return CtViews(tables=tables, seed=seed, **checked)
