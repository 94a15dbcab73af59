"""Heads by name: what turns features (B, C, *spatial) into K logits, chosen by one key of a configuration."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from la_medical.errors import InputError
from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.dynamic_head import DoDNetHead, UniversalHead
from la_medical.networks.linear_head import LinearHead, SoftmaxHead
from la_medical.networks.source_channels import Med3DHead, MultiTalentHead


def _fixed(in_channels: int, num_classes: int, **options: Any) -> nn.Module:
    return ClassQueryHead(in_channels, num_classes, learnable=False, **options)


HEADS: dict[str, Callable[..., nn.Module]] = {
    "class_query": ClassQueryHead,
    "fixed_query": _fixed,
    "linear": LinearHead,
    "softmax": SoftmaxHead,
    "dodnet": DoDNetHead,
    "universal": UniversalHead,
    "med3d": Med3DHead,
    "multitalent": MultiTalentHead,
}
"""Name to what builds it from `(in_channels, num_classes, **options)`."""


def build_head(name: str, in_channels: int, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The head called `name`; raises `InputError` for another name or an option it does not have."""
    if name not in HEADS:
        raise InputError(f"head {name!r}: expected one of {', '.join(HEADS)}")
    try:
        return HEADS[name](in_channels, num_classes, **options)
    except TypeError as error:
        raise InputError(
            f"head {name} refuses its options {', '.join(options) or 'none'} ({error}); give head_options of its own, "
            "{} for none"
        ) from error


def count_classes(classes: Sequence[str] | None, num_classes: int | None) -> int:
    """K, from the class names or their number; raises `InputError` unless exactly one is given or both agree."""
    if classes is None:
        if num_classes is None or num_classes < 1:
            raise InputError(f"a network needs classes (their names) or num_classes >= 1; num_classes is {num_classes}")
        return num_classes
    names = [classes] if isinstance(classes, str) else list(classes)
    if not names or len(set(names)) != len(names):
        raise InputError(f"classes {names}: expected one or more names, each once")
    if num_classes not in (None, len(names)):
        raise InputError(f"{len(names)} classes are named but num_classes is {num_classes}; leave out one of the two")
    return len(names)
