"""A trained network gets one more class; everything that it has learnt stays bit-identical."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from la_medical.errors import InputError
from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.competition import CompetingHead


def add_class(
    network: nn.Module, config: Mapping[str, Any], name: str, grow: bool = False, bias: float = 0.0
) -> dict[str, Any]:
    """Give `network` the class `name`, in place, and return the configuration that builds it in its new size.

    Args:
        network: what `classifier.build` or `segmenter.build` returned for `config`.
        config: the arguments of that `build` (further keys, such as `_target_`, are kept).
        name: of the new class, which comes last.
        grow: lengthen the queries when no row is free.
        bias: log-odds of the new class, if the head has a bias a class.

    Raises:
        InputError: not a network with one class-query head, a class of that name, or no free row.
    """
    heads = [module for module in network.modules() if isinstance(module, ClassQueryHead)]
    if len(heads) != 1:
        raise InputError(f"a class can be added to a network with one class-query head; this one has {len(heads)}")
    if any(isinstance(module, CompetingHead) for module in network.modules()):
        raise InputError("a class cannot be added to a network whose classes compete: its exclusions would be unknown")
    classes = list(config.get("classes") or ())
    if name in classes:
        raise InputError(f"class {name!r} is already one of {', '.join(classes)}")
    head = heads[0]
    head.add_class(grow=grow, bias=bias)
    grown = {**config, "head_options": {**(config.get("head_options") or {}), "query_dim": head.query_dim}}
    if classes:
        grown["classes"] = [*classes, name]
    if not classes or config.get("num_classes") is not None:
        grown["num_classes"] = head.num_classes
    biases = grown["head_options"].get("class_bias")
    if isinstance(biases, list | tuple):
        grown["head_options"]["class_bias"] = [*biases, bias]
    return grown
