"""One model a task, and what each comparator costs.

The comparators that are heads stand in `dynamic_head` (DoDNet, Universal Model), `source_channels` (Med3D, MultiTalent)
and `linear_head`; those that are losses in `la_medical.losses.marginal` and `la_medical.losses.fixmatch`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from la_medical.errors import InputError


class OneModelPerTask(nn.Module):
    """One network for each class (or group of classes): as many passes, and as many times the parameters.

    The setting that Lu et al. (Taskology: Utilizing task relations at scale, CVPR 2021) start from. Trained with the
    partial cross-entropy, each network learns from its own class's known labels and from nothing else.

    Args:
        networks: networks from images to logits (B, K_i, *spatial).

    Raises:
        InputError: no network.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise InputError("one model a task needs at least one model")
        self.networks = nn.ModuleList(networks)
        self.forward_passes = len(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Images to the logits of all networks, (B, sum of K_i, *spatial), in their order."""
        return torch.cat([network(images) for network in self.networks], dim=1)


def one_model_per_task(build: Callable[..., nn.Module], classes: Sequence[str], **arguments: Any) -> OneModelPerTask:
    """K networks of one class each, by the `build` of `classifier` or `segmenter`."""
    return OneModelPerTask([build(classes=[name], **arguments) for name in classes])


@dataclass(frozen=True)
class Cost:
    """Forward passes for all K answers, and trainable parameters."""

    forward_passes: int
    parameters: int


def cost(module: nn.Module) -> Cost:
    """What a head or network costs; a module that does not say otherwise answers all classes in one pass."""
    passes = [int(getattr(part, "forward_passes", 1)) for part in module.modules()]
    return Cost(max(passes), sum(p.numel() for p in module.parameters() if p.requires_grad))
