"""Answer a whole volume window by window: overlapping, added in place, nothing where there is no body. 3D only.

Memory beyond the input volume: K x X x Y x (depth of a window) float32 for the sums, plus what the network needs for
`batch` windows. Finished planes leave as soon as no later window touches them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.networks.checkpoint import unwrapped
from la_medical.training.ct_data import sizes
from la_medical.training.prepared_volumes import network_input
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.trainer import computes_bfloat16
from la_medical.training.values import boolean, integer, number

Start = tuple[int, int, int]

ABSENT = -30.0
"""Logit of voxels that no window answers: sigmoid 1e-13, stored as 0, and finite in a loss."""


def starts_along(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of the windows along an axis, evenly spread; the first starts and the last ends with the volume."""
    if length <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(length - window) // step) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def importance(window: Sequence[int]) -> Tensor:
    """Weights of a window's voxels: a Gaussian with sigma = 1/8 of the side, at least 1e-3 (Isensee et al. 2021)."""
    weight = torch.ones(())
    for size in window:
        place = (torch.arange(size) - (size - 1) / 2) / (size / 8)
        weight = weight[..., None] * torch.exp(-0.5 * place**2)
    return weight.clamp_min(1e-3)


def layers(shape: Sequence[int], window: Sequence[int], overlap: float) -> list[list[Start]]:
    """First voxels of all windows, one list for each first plane, in order of z."""
    along = [starts_along(n, w, overlap) for n, w in zip(shape, window, strict=True)]
    return [[(x, y, z) for x in along[0] for y in along[1]] for z in along[2]]


class SlidingWindow(Inferer):
    """MONAI inferer: the answers of overlapping windows, weighted towards their middles.

    Args:
        window: voxels along x, y, z.
        overlap: share of a window that the next one repeats, 0..0.9.
        batch: windows in one forward.
        amp: bfloat16 where the device computes in it.
        flips: also answer flips along y, z and both, and take the mean (4 times the work).
        body_only: leave out windows with less than 0.5% of voxels above the bottom of the HU window.
    """

    def __init__(
        self,
        *,
        window: Sequence[int],
        overlap: float = 0.5,
        batch: int = 1,
        amp: bool = False,
        flips: bool = False,
        body_only: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= overlap <= 0.9:
            raise InputError(f"overlap is {overlap}; expected 0 to 0.9")
        self.window: Start = (int(window[0]), int(window[1]), int(window[2]))
        self.overlap, self.batch = overlap, batch
        self.amp, self.flips, self.body_only = amp, flips, body_only

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Network inputs (1, 1, X, Y, Z) to logits (1, K, X, Y, Z) on the same device, for validation."""
        slabs = [planes for _, planes in self.slabs(inputs[0, 0], network, inputs.device)]
        return torch.cat(slabs, dim=-1)[None].to(inputs.device)

    def slabs(self, volume: Tensor, network: nn.Module, device: torch.device) -> Iterator[tuple[int, Tensor]]:
        """Yield `(first plane, logits (K, X, Y, planes) on the CPU)` in order of z, each plane once.

        Args:
            volume: (X, Y, Z) uint8 (`windowed`) or float network input; may lie on the CPU.
            network: answers logits (B, K, *window) in eval mode.
            device: where windows are answered.
        """
        network = unwrapped(network)  # processes answer different numbers of windows; DDP would wait for the others
        shape = volume.shape
        padded = _at_least(volume, self.window)
        plan = layers(padded.shape, self.window, self.overlap)
        weight, depth = importance(self.window), self.window[2]
        bottom = padded.min()
        sums: Tensor | None = None
        total = torch.zeros((*padded.shape[:2], depth))
        for number_, layer in enumerate(plan):
            first = layer[0][2]
            chosen = [start for start in layer if self._has_body(padded, start, bottom)]
            if sums is None and not chosen:
                chosen = layer[:1]  # how many classes there are is known from an answer
            for at in range(0, len(chosen), self.batch):
                group = chosen[at : at + self.batch]
                for (x, y, _), logits in zip(group, self._answers(padded, group, network, device), strict=True):
                    if sums is None:
                        sums = torch.zeros((len(logits), *total.shape))
                    box = (slice(x, x + self.window[0]), slice(y, y + self.window[1]))
                    sums[:, box[0], box[1]].addcmul_(logits, weight)
                    total[box] += weight
            assert sums is not None
            done = (plan[number_ + 1][0][2] if number_ + 1 < len(plan) else padded.shape[2]) - first
            planes = min(done, shape[2] - first)
            if planes > 0:
                yield first, _mean(sums, total, planes)[:, : shape[0], : shape[1]]
            _move_on(sums, done)
            _move_on(total, done)

    def _has_body(self, padded: Tensor, start: Start, bottom: Tensor) -> bool:
        if not self.body_only:
            return True
        above = _box(padded, start, self.window) > bottom
        return int(torch.count_nonzero(above)) >= 0.005 * above.numel()

    def _answers(self, padded: Tensor, starts: Sequence[Start], network: nn.Module, device: torch.device) -> Tensor:
        """Logits (B, K, *window), float32 on the CPU."""
        inputs = torch.stack([_box(padded, start, self.window) for start in starts])[:, None].to(device)
        inputs = network_input(inputs) if inputs.dtype == torch.uint8 else inputs
        answer = self._forward(inputs, network)
        if self.flips:
            for axes in ((-2,), (-1,), (-2, -1)):
                answer = answer + self._forward(inputs.flip(axes), network).flip(axes)
            answer = answer / 4
        return answer.cpu()

    def _forward(self, inputs: Tensor, network: nn.Module) -> Tensor:
        kind = inputs.device
        with (
            torch.inference_mode(),
            torch.autocast(kind.type, torch.bfloat16, enabled=self.amp and computes_bfloat16(kind)),
        ):
            answer: Tensor = network(inputs)
        return answer.float()


def _box(volume: Tensor, start: Start, window: Start) -> Tensor:
    x, y, z = start
    return volume[x : x + window[0], y : y + window[1], z : z + window[2]]


def _at_least(volume: Tensor, window: Start) -> Tensor:
    """`volume` padded at its ends with its lowest value, so that a window fits in."""
    missing = [max(0, size - have) for size, have in zip(window, volume.shape, strict=True)]
    if not any(missing):
        return volume
    return functional.pad(volume, (0, missing[2], 0, missing[1], 0, missing[0]), value=volume.min().item())


def _mean(sums: Tensor, total: Tensor, planes: int) -> Tensor:
    weight = total[..., :planes]
    return (sums[..., :planes] / weight.clamp_min(1e-12)).masked_fill_(weight <= 0, ABSENT)


def _move_on(buffer: Tensor, planes: int) -> None:
    """Drop the first planes and make room for as many new ones, in place."""
    kept = buffer.shape[-1] - planes
    if kept > 0:
        buffer[..., :kept] = buffer[..., planes:].clone()
    buffer[..., max(kept, 0) :] = 0


@stops_on_bad_input
def sliding_window(
    *, window: Any, overlap: Any = 0.5, batch: Any = 1, amp: Any = False, flips: Any = False, body_only: Any = True
) -> SlidingWindow:
    """`SlidingWindow` from values of a config; exit code 2 for one out of its range."""
    return SlidingWindow(
        window=sizes("window", window),
        overlap=number("overlap", overlap, least=0),
        batch=integer("window_batch", batch, least=1),
        amp=boolean("amp", amp),
        flips=boolean("flips", flips),
        body_only=boolean("body_only", body_only),
    )
