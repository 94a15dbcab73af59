"""From the labels of a manifest to what is learned: which classes, and each case's target for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError, LabelError
from la_medical.labels import LabelSpace, UncertainPolicy, implied
from la_medical.labels.space import packaged_label_spaces
from la_medical.manifest import Manifest

Targets = NDArray[np.float32]


@dataclass(frozen=True)
class ClassCounts:
    """How one class is known in some rows; `sources` are those that state it or imply it."""

    name: str
    positive: int
    negative: int
    unknown: int
    sources: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain content for provenance."""
        return {
            "positive": self.positive,
            "negative": self.negative,
            "unknown": self.unknown,
            "sources": list(self.sources),
        }

    def __str__(self) -> str:
        said = f"{self.name}: {self.positive} positive, {self.negative} negative, {self.unknown} unknown"
        said += f" (known in {', '.join(self.sources) or 'no source'})"
        if self.positive + self.negative and not (self.positive and self.negative):
            said += "; one state only, so nothing tells it apart but the other classes' cases"
        return said


def uncertain_policy(value: Any) -> UncertainPolicy:
    """The `uncertain` key of a config: one policy for all classes, or `{default: ..., <class>: ...}`."""
    if isinstance(value, UncertainPolicy):
        return value
    if value is None:
        return UncertainPolicy()
    if isinstance(value, str):
        return UncertainPolicy(default=value)
    if isinstance(value, Mapping) and all(isinstance(policy, str) for policy in value.values()):
        per_class = {str(name): policy for name, policy in value.items() if name != "default"}
        return UncertainPolicy(default=str(value.get("default", "ignore")), per_class=per_class)
    raise LabelError(f"uncertain is {value!r}; expected ignore, ones or zeros, or a mapping of class to one of them")


def targets_of(manifest: Manifest, policy: UncertainPolicy, *, stated_only: bool = False) -> Targets:
    """(N, K) 1, 0 or NaN (unknown) for all K classes of the manifest, relations between classes used.

    `stated_only`: leave out what follows from relations, as the evaluation does (docs/decisions/0061).

    A policy for a class that the manifest does not have is left out: one config serves many manifests. One for a name
    that its packaged label space does not have either is a `LabelError`.
    """
    if manifest.space.name in packaged_label_spaces():
        for name in policy.per_class:
            LabelSpace.load(manifest.space.name).resolve(name)
    here = {manifest.space.resolve(k): v for k, v in policy.per_class.items() if manifest.space.find(k)}
    states = UncertainPolicy(policy.default, here).apply(manifest.states(), manifest.classes)
    return states if stated_only else implied(states, manifest.space).astype(np.float32)


def targets_for(
    manifest: Manifest, classes: Sequence[str], policy: UncertainPolicy, *, stated_only: bool = False
) -> Targets:
    """(N, len(classes)) targets; a class that the manifest has no column for is unknown everywhere."""
    known = targets_of(manifest, policy, stated_only=stated_only)
    wanted = np.full((len(manifest), len(classes)), np.nan, dtype=np.float32)
    for column, name in enumerate(classes):
        own = manifest.space.find(name)
        if own is not None:
            wanted[:, column] = known[:, manifest.classes.index(own)]
    return wanted


def learned_space(manifest: Manifest, wanted: Sequence[str] | None, policy: UncertainPolicy) -> LabelSpace:
    """The classes to learn: those wanted, or every class with a known label in these rows.

    Raises:
        LabelError: a wanted class that the manifest does not have, or that no row knows; or no class at all is known.
    """
    unknown = np.isnan(targets_of(manifest, policy))
    having = [name for column, name in enumerate(manifest.classes) if not unknown[:, column].all()]
    if not having:
        raise LabelError(f"{manifest.named}: no row to train on has a known label; label columns are label.<class>")
    if wanted is None:
        return manifest.space.subset(having)
    names = [_wanted_class(name, manifest) for name in wanted]
    for name in names:
        if name not in having:
            raise LabelError(
                f"{manifest.named}: class {name!r} has no known label to train on; leave it out of classes"
            )
    return manifest.space.subset(names)


def _wanted_class(name: str, manifest: Manifest) -> str:
    if manifest.space.find(name) is None and manifest.space.nearest(name) is None:
        raise LabelError(
            f"{manifest.named}: no column holds labels of class {name!r}; there are: {', '.join(manifest.classes)}; "
            "leave it out of classes"
        )
    return manifest.space.resolve(name)


def count_classes(targets: Targets, classes: Sequence[str], sources: Sequence[str]) -> list[ClassCounts]:
    """Counts of each class over the rows of `targets` (N, K); `sources` (N,) names each row's source."""
    named = np.asarray(sources, dtype=object)
    counts = []
    for column, name in enumerate(classes):
        values = targets[:, column]
        known = ~np.isnan(values)
        counts.append(
            ClassCounts(
                name=name,
                positive=int((values == 1).sum()),
                negative=int((values == 0).sum()),
                unknown=int((~known).sum()),
                sources=tuple(sorted({str(source) or "(no source)" for source in named[known]})),
            )
        )
    return counts


def require_known(counts: Sequence[ClassCounts], *, named: str, split: str) -> None:
    """Raise `InputError` if no class is known in these rows: nothing could be measured on them."""
    if not any(count.positive + count.negative for count in counts):
        classes = ", ".join(count.name for count in counts)
        raise InputError(
            f"{named}: no row of split {split} has a known label of the classes {classes}; choose another split, or "
            "a manifest that knows them"
        )
