"""A teacher for the pseudo-labels: an exponential moving average of the weights. 2D only.

Tarvainen and Valpola, Mean teachers are better role models (NeurIPS 2017). The trained network stays the one that is
validated, kept and answered with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from la_medical.errors import InputError
from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks.checkpoint import unwrapped
from la_medical.networks.source_channels import SourceChannels
from la_medical.training.processes import same_as_first
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import number

Tensors = tuple[Tensor, ...] | list[Tensor]


class Teacher:
    """w'_n = w'_{n-1} + max(1 - d, 1/n) (w_n - w'_{n-1}) after step n, d the decay; w'_1 = w_1.

    Until 1/n falls to 1 - d it is the plain mean of all weights so far, so the first, random weights do not linger
    (the ramp of the paper's code). Floating-point buffers, such as the running statistics of batch normalisation, are
    averaged the same way, counters copied. The teacher answers in eval mode: no dropout, nothing drawn.

    Args:
        network: being trained; copied.
        decay: d in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = network
        self.averaged = AveragedModel(unwrapped(network), multi_avg_fn=self._average, use_buffers=True)
        self.averaged.requires_grad_(False).eval()

    @property
    def module(self) -> nn.Module:
        """The network of averaged weights, in eval mode."""
        averaged: nn.Module = self.averaged.module
        return averaged

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more optimiser step in. The same in every process: rank 0's buffers count."""
        self.averaged.update_parameters(unwrapped(self.network))
        same_as_first([buffer for buffer in self.module.buffers() if buffer.is_floating_point()])

    def _average(self, kept: Tensors, current: Tensors, _: Any) -> None:
        if not kept[0].is_floating_point():
            torch._foreach_copy_(kept, current)
            return
        # The count lies on the CPU: reading it waits for no device.
        share = max(1.0 - self.decay, 1.0 / (int(self.averaged.n_averaged) + 1))
        torch._foreach_lerp_(kept, current, share)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights and buffers, and the number of steps in them."""
        return self.averaged.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.averaged.load_state_dict(state)


@stops_on_bad_input
def teacher_of(*, network: nn.Module, decay: Any, loss: nn.Module) -> Teacher | None:
    """The teacher of a run, None where `ema_decay` is not given; exit code 2 where nothing would ask it.

    Args:
        network: being trained, on its device.
        decay: `ema_decay`, at least 0 and below 1, or None.
        loss: the objective, which must have pseudo-labels.
    """
    if decay is None or str(decay).strip().lower() in {"", "none", "null"}:
        return None
    share = number("ema_decay", decay, least=0)
    if share >= 1:
        raise InputError(f"ema_decay is {share:g}; expected a number of at least 0 and below 1, such as 0.99")
    if not isinstance(loss, (LabelAssembleLoss, FixMatchLoss)):
        raise InputError(
            "ema_decay makes pseudo-labels, and this objective has none; give --objective label_assemble or fixmatch, "
            "or leave ema_decay out"
        )
    if any(isinstance(part, SourceChannels) for part in unwrapped(network).modules()):
        raise InputError(
            "ema_decay needs a head with one answer a class; this one (med3d, multitalent) has one for each source "
            "while training; leave ema_decay out"
        )
    return Teacher(network, share)
