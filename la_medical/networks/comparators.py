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

    All networks see every image, so that their batch statistics are those of all sources.

    Args:
        networks: networks from images to logits (B, K_i, *spatial).
        tasks: for each network the positions of its K_i classes among all K; None for the order of the networks.

    Raises:
        InputError: no network, or tasks that do not name every class once.
    """

    order: Tensor | None

    def __init__(self, networks: Sequence[nn.Module], tasks: Sequence[Sequence[int]] | None = None) -> None:
        super().__init__()
        if not networks:
            raise InputError("one model a task needs at least one model")
        self.networks = nn.ModuleList(networks)
        self.forward_passes = len(networks)
        order = None
        if tasks is not None:
            positions = [position for task in tasks for position in task]
            if len(tasks) != len(networks) or sorted(positions) != list(range(len(positions))):
                raise InputError(f"tasks {[list(t) for t in tasks]}: expected every class once, one list a network")
            order = torch.tensor(positions).argsort()
        self.register_buffer("order", order, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images to the logits of all networks, (B, sum of K_i, *spatial), in class order."""
        answers = torch.cat([network(images) for network in self.networks], dim=1)
        return answers if self.order is None else answers[:, self.order]


def one_model_per_task(
    build: Callable[..., nn.Module],
    classes: Sequence[str],
    tasks: Sequence[Sequence[int]] | None = None,
    **arguments: Any,
) -> OneModelPerTask:
    """One network a task, by the `build` of `classifier` or `segmenter`.

    A task is one class, or what `tasks` groups: for each task the positions of its classes in `classes`.
    """
    groups = [[position] for position in range(len(classes))] if tasks is None else [list(task) for task in tasks]
    networks = [build(classes=[classes[position] for position in task], **arguments) for task in groups]
    return OneModelPerTask(networks, groups)


@dataclass(frozen=True)
class Cost:
    """Forward passes for all K answers, and trainable parameters."""

    forward_passes: int
    parameters: int


def cost(module: nn.Module) -> Cost:
    """What a head or network costs; a module that does not say otherwise answers all classes in one pass."""
    passes = [int(getattr(part, "forward_passes", 1)) for part in module.modules()]
    return Cost(max(passes), sum(p.numel() for p in module.parameters() if p.requires_grad))
