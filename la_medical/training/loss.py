"""The objective of a 2D training from values of a config, by one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from la_medical.errors import InputError
from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.known_only import KnownLabelsLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.training.comparator import HasTargets, comparator_named
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import boolean, integer, number

OBJECTIVES = ("label_assemble", "masked_bce", "assume_negative", "fixmatch")


@stops_on_bad_input
def training_loss(
    *,
    objective: Any = None,
    comparator: Any = None,
    tau: Any = 0.5,
    temperature: Any = 4.0,
    normalisation: str = "global",
    warmup_epochs: Any = 0,
    weights: Mapping[str, Any] | None = None,
    confidence: Any = 0.95,
    confidence_weighting: Any = False,
    negative_focus: Any = 0.0,
    cases: HasTargets | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """The loss on `device`; exit code 2 for a value out of its range.

    Args:
        objective: one of `OBJECTIVES`; None for the comparator's, and without a comparator `label_assemble`.
        comparator: a name of `COMPARATORS` or None.
        tau: of Eq. 1: one number, one a class, or `prevalence`: each class's share of positives among the known labels
            of `cases`.
        temperature: of Eq. 1; `inf` for none.
        normalisation: as in `masked_mean`.
        warmup_epochs: epochs without pseudo-labels.
        weights: factors of the terms; those of terms that the objective does not have are left out.
        confidence: of FixMatch.
        confidence_weighting: whether pseudo-labels weigh |2a - 1|.
        negative_focus: g of `asymmetric_bce`, in place of the plain cross-entropy where above 0.
        cases: training cases, for `tau: prevalence`.
        device: where to put it.
    """
    found = comparator_named(comparator)
    name = str(objective) if objective is not None else "label_assemble" if found is None else found.objective
    if name not in OBJECTIVES:
        raise InputError(f"objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}")
    given = _weights(weights)
    if name == "label_assemble":
        return label_assemble_loss(
            tau=prevalence(cases) if str(tau) == "prevalence" else tau,
            temperature=temperature,
            normalisation=normalisation,
            warmup_epochs=warmup_epochs,
            weights=weights,
            confidence_weighting=confidence_weighting,
            negative_focus=negative_focus,
            device=device,
        )
    if name == "fixmatch":
        kept = {"bce": given.get("bce", 1.0), "fixmatch": given.get("pseudo", 1.0)}
        epochs = integer("loss::warmup_epochs", warmup_epochs, least=0)
        return FixMatchLoss(number("loss::confidence", confidence), str(normalisation), epochs, kept).to(device)
    return KnownLabelsLoss(name == "assume_negative", str(normalisation)).to(device)


def prevalence(cases: HasTargets | None) -> list[float]:
    """Share of positives among the known labels of each class, kept within 0.05 to 0.95."""
    if cases is None:
        raise InputError("loss::tau is prevalence, which needs loss::cases, the training cases")
    positives, known = np.nansum(cases.targets == 1, axis=0), (~np.isnan(cases.targets)).sum(axis=0)
    share = np.divide(positives, known, out=np.full(len(known), 0.5), where=known > 0)
    return [float(value) for value in share.clip(0.05, 0.95)]


@stops_on_bad_input
def label_assemble_loss(
    *,
    tau: Any = 0.5,
    temperature: Any = 4.0,
    normalisation: str = "global",
    warmup_epochs: Any = 0,
    weights: Mapping[str, Any] | None = None,
    confidence_weighting: Any = False,
    negative_focus: Any = 0.0,
    device: torch.device | str = "cpu",
) -> LabelAssembleLoss:
    """`LabelAssembleLoss` on `device`; exit code 2 for a value out of its range. `inf` is a temperature."""
    hot = float("inf") if str(temperature).strip().lower() in {"inf", ".inf", "infinity"} else None
    named = _weights(weights)
    loss = LabelAssembleLoss(
        tau=[number("loss::tau", value) for value in tau]
        if isinstance(tau, (list, tuple))
        else number("loss::tau", tau),
        temperature=number("loss::temperature", temperature, least=1) if hot is None else hot,
        normalisation=str(normalisation),
        warmup_epochs=integer("loss::warmup_epochs", warmup_epochs, least=0),
        weights=named or None,
        confidence_weighting=boolean("loss::confidence_weighting", confidence_weighting),
        negative_focus=number("loss::negative_focus", negative_focus, least=0),
    )
    if not any(loss.weights.values()):
        raise InputError("loss::weights are all 0: there is nothing to train on")
    return loss.to(device)


def _weights(weights: Mapping[str, Any] | None) -> dict[str, float]:
    return {str(name): number(f"loss::weights::{name}", value, least=0) for name, value in (weights or {}).items()}
