"""A batch sent through the network in parts, with the gradients of the whole batch. For what does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from la_medical.training.processes import everyones, rank, world_size

Answer = Callable[[Tensor], Tensor]


def backward_in_parts(
    *,
    network: nn.Module,
    answer: Answer,
    loss: Any,
    weak: Tensor,
    strong: Tensor | None,
    targets: Tensor,
    epoch: int,
    parts: int,
    teacher: Tensor | None = None,
) -> dict[str, Tensor]:
    """Add the whole batch's gradients to the network's parameters, one part at a time; its loss terms, detached.

    A mean over known entries is not the mean of the parts' means: the parts know different numbers of labels. So each
    part's loss is computed with the targets of the whole batch (of all processes) and zeros for the other rows' logits.
    That gives the part's own rows the gradient of the whole batch's loss whenever the loss is a sum over entries whose
    weights depend on the targets alone, as the 2D losses are. Batch normalisation still sees each part by itself.

    Args:
        network: being trained; under DistributedDataParallel gradients are exchanged once, with the last part.
        answer: images to logits (rows, K), float32.
        loss: called as `loss(weak_logits, strong_logits, targets, epoch, teacher)`, has `total(terms)`.
        weak: (B, ...) images.
        strong: (B, ...), or None while nothing looks at this view.
        targets: (B, K).
        epoch: counted from 1.
        parts: at most B; the batch is cut as evenly as `Tensor.chunk` cuts.
        teacher: logits (W * B, K) that the pseudo-labels of all processes' cases come from; None for the weak view's.
    """
    whole, first = everyones(targets), rank() * len(targets)
    kept: list[Tensor] = []
    pieces = list(_pieces(weak, strong, parts))
    for number, (images, rows) in enumerate(pieces):
        with _alone(network) if number + 1 < len(pieces) else nullcontext():
            logits = answer(images)
            views = [_among(view, first + rows.start, len(whole)) for view in logits.split(rows.stop - rows.start)]
            total = loss.total(loss(views[0], views[1] if strong is not None else None, whole, epoch, teacher))
            (total * world_size()).backward()  # gradients are averaged over the processes, and here they add up
        kept.append(logits.detach().unflatten(0, (-1, rows.stop - rows.start)))
    with torch.no_grad():
        both = [everyones(view) for view in torch.cat(kept, dim=1)]
        terms: dict[str, Tensor] = loss(both[0], both[1] if strong is not None else None, whole, epoch, teacher)
    return terms


def _pieces(weak: Tensor, strong: Tensor | None, parts: int) -> Iterator[tuple[Tensor, slice]]:
    """Images of both views of a part in one batch, and which rows they are."""
    start = 0
    for number, piece in enumerate(weak.chunk(parts)):
        images = piece if strong is None else torch.cat([piece, strong.chunk(parts)[number]])
        yield images, slice(start, start + len(piece))
        start += len(piece)


def _among(logits: Tensor, start: int, count: int) -> Tensor:
    """`logits` as rows `start`... of `count`, the others 0."""
    before, after = start, count - start - len(logits)
    return nn.functional.pad(logits, (0, 0, before, after))


def _alone(network: nn.Module) -> AbstractContextManager[None]:
    """No exchange of gradients inside."""
    return network.no_sync() if isinstance(network, nn.parallel.DistributedDataParallel) else nullcontext()
