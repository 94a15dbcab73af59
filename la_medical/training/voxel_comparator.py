"""Comparators by one key of the CT bundle: which head and which objective, at every voxel. 3D only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.losses.relations import Relations
from la_medical.networks.checkpoint import Checkpoint
from la_medical.training.cases import TrainingCases
from la_medical.training.comparator import OF_SOURCES, Comparator, comparator_named, with_head
from la_medical.training.stop import stops_on_bad_input

logger = logging.getLogger(__name__)

VOXEL_COMPARATORS: dict[str, Comparator] = {
    "class_query": Comparator("class_query", "label_assemble"),
    "fixed_query": Comparator("fixed_query", "label_assemble"),
    "linear": Comparator("linear", "known"),
    "dodnet": Comparator("dodnet", "known"),
    "universal": Comparator("universal", "known"),
    "med3d": Comparator("med3d", "known"),
    "multitalent": Comparator("multitalent", "known"),
    "one_model_per_task": Comparator("one_model_per_task", "known"),
    "marginal_exclusion": Comparator("softmax", "marginal_exclusion"),
    "target_adaptive": Comparator("softmax", "target_adaptive"),
}
"""The value of the key `comparator` to head and objective: `label_assemble`; `known`, the same without pseudo-labels
and second view; or a softmax loss."""

SOFTMAX_WEIGHTS: dict[str, dict[str, float]] = {
    "marginal_exclusion": {},
    "target_adaptive": {"marginal_dice": 0.0, "exclusion": 0.0},
}
"""Weights of `MarginalExclusionLoss` for each softmax objective."""


def voxel_comparator(name: Any) -> Comparator | None:
    """The comparator, or None for "as the other keys say"; raises `InputError` for one there is not per voxel."""
    return comparator_named(name, VOXEL_COMPARATORS)


def check_competition(found: Comparator | None, name: Any, compete: bool) -> None:
    """`InputError` where classes are to compete whose answers are made apart, or compete in the head already."""
    if found is None or not compete:
        return
    if found.head == "softmax":
        raise InputError(
            f"comparator {name} has a softmax, in which classes compete already; give --compete false, "
            "to evaluation and inference too"
        )
    if found.head in OF_SOURCES:
        raise InputError(
            f"comparator {name} trains the outputs of each source apart, so no class competes; give --compete false, "
            "to evaluation and inference too"
        )


def check_softmax(found: Comparator | None, name: Any, space: LabelSpace) -> None:
    """`InputError` where a softmax is to tell a class from a union of others; the log names pairs that may overlap."""
    if found is None or found.head != "softmax":
        return
    relations = Relations.of(space)
    exclusive = relations.exclusive
    pairs = [(a, b) for a in range(len(space)) for b in range(a + 1, len(space)) if not exclusive[a, b]]
    named = ", ".join(f"{space.names[a]} over {space.names[b]}" for a, b in pairs)
    if named and not relations.has_unions:
        logger.warning("comparator %s: where two classes are positive at a voxel the first counts (%s)", name, named)
    if not relations.has_unions:
        return
    raise InputError(
        f"comparator {name} has a softmax, in which a voxel has one class, and of {', '.join(space.names)} some are "
        "unions of others; name classes that exclude each other with --classes"
    )


@stops_on_bad_input
def chosen_voxel_network(
    *, config: Mapping[str, Any], comparator: Any, cases: TrainingCases, checkpoint: Checkpoint | None = None
) -> dict[str, Any]:
    """The network configuration with the comparator's head; exit code 2 where the two do not go together.

    Args:
        config: `network_config`.
        comparator: a name of `VOXEL_COMPARATORS` or None.
        cases: whose training rows say which source knows which class.
        checkpoint: what training starts from, if anything; its head must be the comparator's.
    """
    found = voxel_comparator(comparator)
    if found is not None and found.head == "one_model_per_task" and int(config.get("deep_supervision", 0)):
        raise InputError(
            "comparator one_model_per_task answers at one resolution; give network_config without deep_supervision"
        )
    return with_head(config, found, comparator, cases, checkpoint)
