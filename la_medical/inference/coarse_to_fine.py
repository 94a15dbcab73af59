"""Find the organ at low resolution first, and look for lesions at full resolution around it only. 3D only.

Where nothing plausible is found, the whole volume is searched: a missed organ must not become a missed lesion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from la_medical.artifacts import sha256_of
from la_medical.errors import InputError
from la_medical.inference.windows import SlidingWindow
from la_medical.networks.checkpoint import load_weights
from la_medical.training.ct_data import lengths, window_of
from la_medical.training.network import built_network, placed, read_checkpoint
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import number, optional_path
from la_medical.training.working_grid import WorkingGrid, resized

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Finder:
    """A coarse network and what it looks for.

    `channel`: the organ's. `spacing`: it was trained at, mm. `margin`: added on each
    side, mm. `plausible`: smallest and largest volume of the organ, ml.
    """

    network: nn.Module
    channel: int
    spacing: tuple[float, ...]
    inferer: SlidingWindow
    device: torch.device
    margin: float = 25.0
    plausible: tuple[float, float] = (8.0, 400.0)
    checkpoint_sha256: str = ""

    def settings(self) -> dict[str, Any]:
        """What decides where lesions are looked for."""
        return {
            "checkpoint_sha256": self.checkpoint_sha256,
            "channel": self.channel,
            "patch_size": list(self.inferer.window),
            "margin": self.margin,
        }

    def find(self, image: Tensor, grid: WorkingGrid) -> Box | None:
        """The box of the organ in `image` (X, Y, Z; uint8, on `grid`), or None where none is plausible."""
        fine = grid.spacing
        shape = np.maximum(1, np.rint(np.array(image.shape) * fine / np.array(self.spacing))).astype(int)
        coarse = resized(image.float(), (int(shape[0]), int(shape[1]), int(shape[2]))).round_().to(torch.uint8)
        answers = [
            planes[self.channel].sigmoid() for _, planes in self.inferer.slabs(coarse, self.network, self.device)
        ]
        step = np.array(image.shape) / shape
        box = organ_box(torch.cat(answers, dim=-1).numpy(), fine * step, self.margin, self.plausible)
        if box is None:
            return None
        whole = [
            slice(int(part.start * s), min(size, int(np.ceil(part.stop * s))))
            for part, s, size in zip(box, step, image.shape, strict=True)
        ]
        return whole[0], whole[1], whole[2]


def organ_box(
    probability: NDArray[Any], spacing: NDArray[Any], margin: float, plausible: Sequence[float]
) -> Box | None:
    """Box around the largest component of p >= 0.5 with `margin` mm; None if its volume is not `plausible` (ml)."""
    components, count = ndimage.label(probability >= 0.5)
    if not count:
        return None
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    volume = sizes[largest] * float(np.prod(spacing)) / 1000
    if not plausible[0] <= volume <= plausible[1]:
        return None
    found = ndimage.find_objects(components, max_label=largest)[largest - 1]
    grown = [
        slice(max(0, part.start - round(margin / mm)), min(size, part.stop + round(margin / mm)))
        for part, mm, size in zip(found, spacing, probability.shape, strict=True)
    ]
    return grown[0], grown[1], grown[2]


@stops_on_bad_input
def finder(
    *, checkpoint: Any, organ: str, window: Any, inferer: SlidingWindow, device: torch.device, margin: Any = 25.0
) -> Finder | None:
    """The finder of a coarse checkpoint, or None where `checkpoint` is not given.

    The checkpoint says its network and the spacing it was trained at; its HU window must be that of this run.

    Raises (exit code 2):
        InputError: the checkpoint does not answer `organ`, or was trained with another HU window than `window`.
    """
    if optional_path(checkpoint) is None:
        return None
    weights = read_checkpoint(checkpoint)
    settings = weights.provenance.get("settings", {})
    if weights.label_space.find(organ) is None or "spacing" not in settings:
        raise InputError(
            f"coarse_checkpoint {checkpoint}: answers {', '.join(weights.classes)}; expected a CT checkpoint that "
            f"answers {organ!r} (coarse_organ)"
        )
    hu = list(window_of(window))
    if settings.get("window", hu) != hu:
        raise InputError(
            f"coarse_checkpoint {checkpoint}: trained with window {settings['window']}, here {hu}; both networks see "
            "the same values: train it with this window"
        )
    config, count = weights.network_config, len(weights.classes)
    network = built_network(config=config, num_classes=count, checkpoint=weights)
    load_weights(network, weights, named=f"coarse_checkpoint {checkpoint}")
    return Finder(
        placed(network, device, answering=True).eval(),
        weights.label_space.index(organ),
        lengths("coarse spacing", settings["spacing"]),
        inferer,
        device,
        number("coarse_margin", margin, least=0),
        checkpoint_sha256=sha256_of(str(checkpoint)),
    )
