"""The weak and the strong view of X-rays (paper, Sec. 2), made for a whole batch at once on its device. 2D only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from monai.networks.layers import AffineTransform
from monai.transforms import Transform
from torch import Tensor

from la_medical.training.draws import Draws
from la_medical.training.images import network_input


class BatchTransform(Protocol):
    """(B, 1, H, W) float 0..1 to the same, with random numbers from `draws`."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The changed images."""


class RandomAffine(Transform):
    """Rotate, zoom, move and maybe mirror; what comes in from outside repeats the border.

    Args:
        degrees: rotation within +-degrees.
        zoom: size within 1 - zoom .. 1 + zoom.
        shift: move within +-shift of the image's side, each axis by itself.
        mirror: probability of exchanging left and right. The heart then lies on the wrong side: 0 by default.
    """

    def __init__(self, degrees: float, zoom: float, shift: float, mirror: float = 0.0) -> None:
        self.degrees, self.zoom, self.shift, self.mirror = degrees, zoom, shift, mirror
        self._resample = AffineTransform(
            normalized=True, reverse_indexing=False, mode="bilinear", padding_mode="border", align_corners=False
        )

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Images moved, one interpolation."""
        angle = draws.uniform("rotation", -math.radians(self.degrees), math.radians(self.degrees))
        size = draws.uniform("zoom", 1 - self.zoom, 1 + self.zoom)
        moved = draws.uniform("shift", -2 * self.shift, 2 * self.shift, 2)  # the image spans -1..1
        side = torch.where(draws.chance("mirror", self.mirror), -1.0, 1.0)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        theta = torch.stack(
            [torch.stack([cos * side, -sin, moved[:, 0]], 1), torch.stack([sin * side, cos, moved[:, 1]], 1)], 1
        )
        return self._resample(images, theta)


class RandomContrast(Transform):
    """Gamma within 1/gamma..gamma (even in its logarithm), then brightness within +-brightness."""

    def __init__(self, gamma: float, brightness: float) -> None:
        self.gamma, self.brightness = gamma, brightness

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Images of another exposure, cut to 0..1."""
        span = math.log(self.gamma)
        exponent = torch.exp(draws.uniform("gamma", -span, span))[:, None, None, None]
        added = draws.uniform("brightness", -self.brightness, self.brightness)[:, None, None, None]
        return (images.clamp(0.0, 1.0) ** exponent + added).clamp(0.0, 1.0)


class RandomNoise(Transform):
    """White normal noise whose standard deviation is even over 0..most."""

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Noisy images, not cut."""
        strength = draws.uniform("noise strength", 0.0, self.most)[:, None, None, None]
        return images + strength * draws.normal("noise", *images.shape[1:])


class RandomErase(Transform):
    """With `probability`, a square whose side is even over 0..most of the image's turns mid-grey."""

    def __init__(self, most: float, probability: float = 1.0) -> None:
        self.most, self.probability = most, probability

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Images with a square gone."""
        height, width = images.shape[-2:]
        centre = draws.uniform("erased centre", 0.0, 1.0, 2)
        half = draws.uniform("erased side", 0.0, self.most) / 2
        half = torch.where(draws.chance("erase", self.probability), half, -1.0)
        rows = (torch.arange(height, device=images.device) + 0.5) / height
        columns = (torch.arange(width, device=images.device) + 0.5) / width
        gone = ((rows[None, :] - centre[:, :1]).abs() < half[:, None])[:, None, :, None] & (
            (columns[None, :] - centre[:, 1:]).abs() < half[:, None]
        )[:, None, None, :]
        return torch.where(gone, 0.5, images)


class XrayViews:
    """Both views of a batch of X-rays.

    Args:
        weak: transforms of the weak view, in order.
        strong: transforms of the strong view, in order.
        seed: of the run.
    """

    def __init__(self, *, weak: Sequence[BatchTransform], strong: Sequence[BatchTransform], seed: int) -> None:
        self.weak, self.strong, self.seed = list(weak), list(strong), seed

    def __call__(self, images: Tensor, targets: Tensor, *, cases: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Both views of the same cases as network input, and the targets they share.

        Args:
            images: (B, 1, H, W) uint8.
            targets: (B, K); the labels of a whole image do not change with its view.
            cases: (B,) positions of the cases in their table.
            epoch: counted from 1.
        """
        grey = images.float().div_(255.0)
        made = []
        for name, transforms in (("weak", self.weak), ("strong", self.strong)):
            view, draws = grey, Draws(seed=self.seed, epoch=epoch, cases=cases, view=name)
            for transform in transforms:
                view = transform(view, draws)
            made.append(network_input(view))
        return made[0], made[1], targets
