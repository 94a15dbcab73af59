"""One step of CT training and its loss, from values of a config. 3D only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from la_medical.labels import LabelSpace
from la_medical.losses.deep_supervision import DeepSupervisionLoss
from la_medical.losses.dice import all_reduce_sum
from la_medical.losses.known_only import NO_EPOCH
from la_medical.losses.marginal import MarginalExclusionLoss
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import VoxelAssembleLoss
from la_medical.training.comparator import OF_SOURCES, targets_of_sources
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.trainer import Views, computes_bfloat16
from la_medical.training.values import boolean, integer, number
from la_medical.training.voxel_comparator import SOFTMAX_WEIGHTS, check_competition, check_softmax, voxel_comparator

Logits = Tensor | list[Tensor]


class VoxelUpdate:
    """`iteration_update` of MONAI's trainer for CT patches: both views in one forward, named terms, one step.

    Differs from 2D's where voxels make it: answers may come at several resolutions, and with several processes each
    computes the loss of its own patches (Dice sums are shared), since gathering logits would multiply memory.

    Args:
        views: makes both views and the voxel targets.
        amp: bfloat16 where the device computes in it.
        clip: largest norm of the gradient.
        sources: (N,) source of each case (`comparator.source_numbers`), for heads with outputs of each source.
    """

    def __init__(self, *, views: Views, amp: Any = False, clip: Any = 12.0, sources: Tensor | None = None) -> None:
        self.views = views
        self.sources = sources
        self.amp, self.clip = _checked(amp, clip)

    def __call__(self, engine: SupervisedTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train on `image` (B, 1, X, Y, Z), `label` (B, X, Y, Z) and `case` (B,); the terms, detached."""
        device, epoch, loss = engine.state.device, engine.state.epoch, engine.loss_function
        images, labels, cases = (batch[key].to(device, non_blocking=True) for key in ("image", "label", "case"))
        with torch.no_grad():
            weak, strong, targets = self.views(images, labels, cases=cases, epoch=epoch)
            targets = targets_of_sources(engine.network, targets, cases, self.sources)
        engine.network.train()
        engine.optimizer.zero_grad(set_to_none=True)
        both = epoch > warmup_of(loss)
        inputs = torch.cat([weak, strong]) if both else weak
        with torch.autocast(device.type, torch.bfloat16, enabled=self.amp and computes_bfloat16(device)):
            answer: Logits = engine.network(inputs)
        weak_logits, strong_logits = halves(answer) if both else (floats(answer), None)
        terms: dict[str, Tensor] = loss(weak_logits, strong_logits, targets, epoch)
        total = loss.total(terms)
        total.backward()
        nn.utils.clip_grad_norm_(engine.network.parameters(), self.clip)
        engine.optimizer.step()
        return {"loss": total.detach(), **{name: term.detach() for name, term in terms.items()}}


@stops_on_bad_input
def _checked(amp: Any, clip: Any) -> tuple[bool, float]:
    return boolean("amp", amp), number("gradient_clip", clip, above=0)


def floats(answer: Logits) -> Logits:
    """Logits of every resolution as float32."""
    return [level.float() for level in answer] if isinstance(answer, list) else answer.float()


def halves(answer: Logits) -> tuple[Logits, Logits]:
    """The weak and the strong half of a batch of both views, at every resolution."""
    if isinstance(answer, list):
        pairs = [level.float().chunk(2) for level in answer]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    weak, strong = answer.float().chunk(2)
    return weak, strong


def warmup_of(loss: nn.Module) -> int:
    """`warmup_epochs` of the innermost loss."""
    while isinstance(loss, DeepSupervisionLoss):
        loss = loss.loss
    return int(loss.warmup_epochs)  # type: ignore[arg-type]


@stops_on_bad_input
def voxel_loss(
    *,
    space: LabelSpace,
    tau: Any = 0.5,
    temperature: Any = 4.0,
    normalisation: str = "global",
    warmup_epochs: Any = 0,
    weights: Mapping[str, Any] | None = None,
    relations: Any = True,
    compete: Any = False,
    deep: bool = False,
    comparator: Any = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """The 3D loss on `device`; exit code 2 for a value out of its range.

    Args:
        space: the K classes and their relations.
        tau: threshold of Eq. 1.
        temperature: t of Eq. 1; `inf` is one.
        normalisation: `global`, `per_class` or `per_sample`.
        warmup_epochs: epochs without pseudo-labels and consistency.
        weights: factors of the terms.
        relations: use `union_of` and `excludes`.
        compete: let classes that exclude each other compete at every voxel.
        deep: the network answers at several resolutions.
        comparator: a name of `VOXEL_COMPARATORS`, whose objective it is then; None for Label-Assemble's.
        device: where the loss's constants lie.
    """
    hot = float("inf") if str(temperature).strip().lower() in {"inf", ".inf", "infinity"} else None
    found = voxel_comparator(comparator)
    competes = boolean("compete", compete)
    check_competition(found, comparator, competes)
    check_softmax(found, comparator, space)
    if found is not None and found.objective in SOFTMAX_WEIGHTS:
        softmax = MarginalExclusionLoss(SOFTMAX_WEIGHTS[found.objective])
        return (DeepSupervisionLoss(softmax) if deep else softmax).to(device)
    of_sources = found is not None and found.head in OF_SOURCES
    related = Relations.of(space) if boolean("loss::relations", relations) and not of_sources else None
    named = {str(name): number(f"loss::weights::{name}", value, least=0) for name, value in (weights or {}).items()}
    if found is not None and found.objective == "known":
        named |= {"pseudo": 0.0, "consist": 0.0}
    loss: nn.Module = VoxelAssembleLoss(
        relations=related,
        tau=number("loss::tau", tau),
        temperature=number("loss::temperature", temperature, least=1) if hot is None else hot,
        normalisation=str(normalisation),
        warmup_epochs=NO_EPOCH
        if found is not None and found.objective == "known"
        else integer("loss::warmup_epochs", warmup_epochs, least=0),
        weights=named or None,
        reduce=all_reduce_sum,
        compete=competes,
        complete=False,  # `voxel_tables` has done so, for each mask value once
    )
    return (DeepSupervisionLoss(loss) if deep else loss).to(device)
