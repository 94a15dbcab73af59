"""A checkpoint with one more class, whose old answers stay as they were."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from la_medical.errors import InputError, LabelError
from la_medical.labels import LabelSpace
from la_medical.labels.space import LabelClass
from la_medical.networks.checkpoint import Checkpoint
from la_medical.networks.query_similarity import QUERIES, queries_of

WEIGHT, BIAS = "head.fc.weight", "head.class_bias"


def with_added_class(
    checkpoint: Checkpoint, name: str, *, grow: bool = False, label_space: str | None = None, seed: int = 0
) -> Checkpoint:
    """The checkpoint with class `name` appended, its query a free one-hot row.

    Every old parameter keeps its bits. Where D grows, queries get a column of zeros and `fc` one of small random
    numbers, so the old products stay the same numbers.

    Args:
        checkpoint: with a class-query head.
        name: the class; any spelling if `label_space` knows it.
        grow: make D one longer where no row is free; otherwise that is an error.
        label_space: packaged space or YAML file to take the class's spellings and relations from; None for the packaged
            space of the checkpoint's name, if there is one.
        seed: of the new column of `fc` where D grows.

    Raises:
        InputError: no class queries, no free row and not `grow`, or a class that is there already.
    """
    state = dict(checkpoint.state_dict)
    queries = queries_of(checkpoint)
    space = _extended(checkpoint.label_space, name, label_space)
    count, length = queries.shape
    if count == length:
        if not grow:
            raise InputError(f"all {length} query rows are taken; say --grow to make room for one more class")
        queries = torch.nn.functional.pad(queries, (0, 1))
        state[WEIGHT] = torch.cat([state[WEIGHT], _new_column(state[WEIGHT], seed)], dim=1)
        length += 1
    row = torch.zeros(1, length, dtype=queries.dtype)
    row[0, count] = 1.0
    state[QUERIES] = torch.cat([queries, row])
    if BIAS in state:
        state[BIAS] = torch.cat([state[BIAS], state[BIAS].new_zeros(1)])
    config = dict(checkpoint.network_config)
    head_options = {**(config.get("head_options") or {}), "query_dim": length}
    if isinstance(head_options.get("class_bias"), list | tuple):
        head_options["class_bias"] = [*head_options["class_bias"], 0.0]
    config["head_options"] = head_options
    provenance: dict[str, Any] = dict(checkpoint.provenance)
    provenance["added_classes"] = [*provenance.get("added_classes", []), space.names[-1]]
    return Checkpoint(state, space, config, provenance)


def _extended(space: LabelSpace, name: str, named_space: str | None) -> LabelSpace:
    if space.find(name):
        raise LabelError(f"class {name!r} is in the checkpoint already, as {space.find(name)!r}")
    added = _described(space, name, named_space)
    there = {*space.names, added.name}
    kept = LabelClass(
        name=added.name,
        display=added.display,
        synonyms=added.synonyms,
        union_of=added.union_of if there.issuperset(added.union_of) else (),
        excludes=tuple(other for other in added.excludes if other in there),
        codes=added.codes,
    )
    return LabelSpace(name=space.name, version=space.version, classes=(*space.classes, kept))


def _described(space: LabelSpace, name: str, named_space: str | None) -> LabelClass:
    try:
        whole = LabelSpace.load(named_space or space.name)
    except LabelError:
        if named_space:
            raise
        return LabelClass(name=name)  # a space of the user's own, known only to the checkpoint
    return whole[name]


def _new_column(weight: Tensor, seed: int) -> Tensor:
    bound = 1.0 / math.sqrt(len(weight))
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(len(weight), 1, generator=generator, dtype=weight.dtype) * 2 - 1) * bound
