"""Named terms of a loss and their weights, kept apart until the total."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from la_medical.errors import InputError


def term_weights(given: Mapping[str, float] | None, defaults: Mapping[str, float]) -> dict[str, float]:
    """`defaults` with the weights given in their place; raises `InputError` for another name or a negative weight."""
    weights = dict(defaults)
    for name, value in (given or {}).items():
        if name not in defaults:
            raise InputError(f"no loss term {name!r} to weigh; the terms are: {', '.join(defaults)}")
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"weight {value} of loss term {name}: expected a number from 0 on")
        weights[name] = float(value)
    return weights


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of weight x term; terms of weight 0 are left out, gradient and all."""
    kept = [weights[name] * term for name, term in terms.items() if weights[name]]
    if not kept:
        raise InputError("every loss term has weight 0: there is nothing to train on")
    return torch.stack(kept).sum()
