"""The loss of the paper from values of a config, for 2D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from la_medical.errors import InputError
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import integer, number


@stops_on_bad_input
def label_assemble_loss(
    *,
    tau: Any = 0.5,
    temperature: Any = 4.0,
    normalisation: str = "global",
    warmup_epochs: Any = 0,
    weights: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> LabelAssembleLoss:
    """`LabelAssembleLoss` on `device`; exit code 2 for a value out of its range. `inf` is a temperature."""
    hot = float("inf") if str(temperature).strip().lower() in {"inf", ".inf", "infinity"} else None
    named = {str(name): number(f"loss::weights::{name}", value, least=0) for name, value in (weights or {}).items()}
    loss = LabelAssembleLoss(
        tau=[number("loss::tau", value) for value in tau]
        if isinstance(tau, (list, tuple))
        else number("loss::tau", tau),
        temperature=number("loss::temperature", temperature, least=1) if hot is None else hot,
        normalisation=str(normalisation),
        warmup_epochs=integer("loss::warmup_epochs", warmup_epochs, least=0),
        weights=named or None,
    )
    if not any(loss.weights.values()):
        raise InputError("loss::weights are all 0: there is nothing to train on")
    return loss.to(device)
