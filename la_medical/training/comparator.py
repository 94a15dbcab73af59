"""Comparators by one key of the 2D bundle: which head, which objective, and what the data path gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.checkpoint import Checkpoint, unwrapped
from la_medical.networks.source_channels import SourceChannels
from la_medical.training.cases import TrainingCases
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.targets import Targets


class HasTargets(Protocol):
    """Cases to train on: targets (N, K), NaN unknown, and the source of each."""

    @property
    def targets(self) -> Targets: ...  # noqa: D102

    @property
    def sources(self) -> list[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Comparator:
    """A whole system: `head` (`networks.heads`), `objective` (`training.loss`), policy for uncertain labels."""

    head: str
    objective: str
    uncertain: str | None = None


COMPARATORS: dict[str, Comparator] = {
    "class_query": Comparator("class_query", "label_assemble"),
    "fixed_query": Comparator("fixed_query", "label_assemble"),
    "linear": Comparator("linear", "masked_bce"),
    "med3d": Comparator("med3d", "masked_bce"),
    "dodnet": Comparator("dodnet", "masked_bce"),
    "multitalent": Comparator("multitalent", "masked_bce"),
    "universal": Comparator("universal", "masked_bce"),
    "one_model_per_task": Comparator("one_model_per_task", "masked_bce"),
    "fixmatch": Comparator("linear", "fixmatch"),
    "assume_negative": Comparator("linear", "assume_negative"),
    "u_ones": Comparator("linear", "masked_bce", "ones"),
    "u_zeros": Comparator("linear", "masked_bce", "zeros"),
    "u_ignore": Comparator("linear", "masked_bce", "ignore"),
}
"""The value of the key `comparator` to what it stands for."""

OF_SOURCES = ("med3d", "multitalent")
"""Heads with outputs for each source, whose targets are those of the case's own source."""


def comparator_named(name: Any, among: Mapping[str, Comparator] = COMPARATORS) -> Comparator | None:
    """The comparator, or None for "as the other keys say"; raises `InputError` for another name."""
    if name is None or str(name).strip().lower() in {"", "none", "null"}:
        return None
    if str(name) not in among:
        raise InputError(f"comparator is {name!r}; expected one of {', '.join(among)}")
    return among[str(name)]


@stops_on_bad_input
def chosen_network(
    *, config: Mapping[str, Any], comparator: Any, cases: TrainingCases, checkpoint: Checkpoint | None = None
) -> dict[str, Any]:
    """The network configuration with the comparator's head and what that head must know of the cases.

    Exit code 2 for another name, or a head that `checkpoint` does not have.

    Args:
        config: `network_config`; its `head` and `head_options` stand where `comparator` is not given.
        comparator: a name of `COMPARATORS` or None.
        cases: whose training rows say which source knows which class.
        checkpoint: what training starts from, if anything; its head must be the comparator's.
    """
    return with_head(config, comparator_named(comparator), comparator, cases, checkpoint)


def with_head(
    config: Mapping[str, Any],
    found: Comparator | None,
    comparator: Any,
    cases: TrainingCases,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """`chosen_network` for a comparator that was found, by its name; raises `InputError`."""
    chosen = dict(config)
    if found is not None and found.head != chosen.get("head", "class_query"):
        chosen |= {"head": found.head, "head_options": {}}
    head = chosen.get("head", "class_query")
    if checkpoint is not None:
        there = checkpoint.network_config.get("head", "class_query")
        if found is not None and there != head:
            raise InputError(f"comparator {comparator} has the head {head}, and initial_weights the head {there}")
        return chosen
    options = dict(chosen.get("head_options") or {})
    if head in OF_SOURCES:
        options.setdefault("sources", known_by_source(cases.train))
    if head == "one_model_per_task":
        options.setdefault("tasks", tasks_of(known_by_source(cases.train), len(cases.classes)))
    return {**chosen, "head_options": options}


@stops_on_bad_input
def chosen_policy(*, uncertain: Any, comparator: Any) -> Any:
    """The policy for uncertain labels: the comparator's (U-Ones, ...) or that of the key `uncertain`."""
    found = comparator_named(comparator)
    return uncertain if found is None or found.uncertain is None else found.uncertain


def known_by_source(cases: HasTargets) -> list[list[int]]:
    """For each source in alphabetical order, the positions of the classes it knows in any of these rows."""
    named = np.asarray(cases.sources, dtype=object)
    known = ~np.isnan(cases.targets)
    return [np.flatnonzero(known[named == name].any(axis=0)).tolist() for name in sorted(set(cases.sources))]


def tasks_of(known: list[list[int]], num_classes: int) -> list[list[int]]:
    """Classes grouped into tasks: those that the same sources know are one task."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for position in range(num_classes):
        owners = tuple(source for source, classes in enumerate(known) if position in classes)
        groups.setdefault(owners, []).append(position)
    return list(groups.values())


def source_numbers(cases: HasTargets) -> Tensor:
    """(N,) the position of each case's source in alphabetical order, as `known_by_source` counts them."""
    names = sorted(set(cases.sources))
    return torch.tensor([names.index(name) for name in cases.sources], dtype=torch.int64)


def targets_of_sources(network: nn.Module, targets: Tensor, cases: Tensor, sources: Tensor | None) -> Tensor:
    """The targets that the network's head answers: (B, K), or (B, P) for heads with outputs of each source."""
    channels = getattr(getattr(unwrapped(network), "head", None), "channels", None)
    if not isinstance(channels, SourceChannels):
        return targets
    if sources is None:
        raise InputError("this head has outputs for each source; tell the trainer the source of each case")
    # A case drawn again has its position plus a multiple of their number.
    return channels.expand(targets, sources.to(targets.device)[cases % len(sources)])
