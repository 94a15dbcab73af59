"""What an experiment compares: data sets, arms and effects, read from `experiments/NAME/SIZE.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from la_medical.errors import InputError
from la_medical.resources import experiments_folder

SIZES = ("small", "paper")
ANALYSES = ("effects", "similarity_gain", "per_source", "per_class")
OWN_PROGRAM = "run.py"
"""An experiment that this runner does not run, such as those on CT, holds its own program under this name."""
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One source in its official layout: `root` below the data folder, `options` of its reader."""

    source: str
    root: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """Images with all the labels that are known of them; an arm may know fewer.

    `parts`: sources, assembled. `composite`: draw several images into one (`composites.Composite`), from the one part.
    `split`: `{val, test}` shares for a split by patient instead of the official one. `train`, `val`, `test`: how many
    images to take, one number or one a source (all of a source that is not named), null for all. `classes`: to learn,
    null for all. `scored`: classes whose AUC counts, null for all. `sources`: classes that each partial source knows.
    Where they are not the sources of the images themselves, the training images are dealt to them.
    """

    parts: tuple[Part, ...]
    composite: Mapping[str, Any] | None = None
    split: Mapping[str, float] | None = None
    train: int | Mapping[str, int] | None = None
    val: int | Mapping[str, int] | None = None
    test: int | Mapping[str, int] | None = None
    classes: tuple[str, ...] | None = None
    scored: tuple[str, ...] | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One way to learn from the same images.

    `known`: `all`, `scored`, `sources` (each image only the classes of its partial source) or a list of classes.
    `only`: train on images of these sources alone. `keep`: of a source keep the images in which the scored class has
    this state. `settings`: of the bundle, over those of the experiment.
    `data`: the data sets it is run on, all if empty. `seeds`: at most so many seeds, all if null.
    """

    known: str | tuple[str, ...] = "all"
    only: tuple[str, ...] = ()
    keep: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    seeds: int | None = None


@dataclass(frozen=True)
class Effect:
    """Compare `arm` with `against` on the same seeds; `margin` asks whether they are equivalent within it."""

    arm: str
    against: str
    margin: float | None = None


@dataclass(frozen=True)
class Plan:
    """An experiment at one size.

    `steps`: optimiser steps of every run, so that arms with fewer images take as many; null for the epochs of
    `settings`. `validations`: how often a run is validated. `warmup`: share of the epochs without pseudo-labels.
    """

    name: str
    size: str
    title: str
    question: str
    data: Mapping[str, DataSet]
    arms: Mapping[str, Arm]
    effects: tuple[Effect, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    configs: tuple[str, ...] = ("train",)
    steps: int | None = None
    validations: int = 10
    warmup: float | None = None
    analysis: str = "effects"
    target: str | None = None
    remarks: str = ""


def experiment_names() -> list[str]:
    """The experiments that this runner can run, in alphabetical order."""
    found = sorted(experiments_folder().glob("*/small.yaml"))
    return [path.parent.name for path in found if not (path.parent / OWN_PROGRAM).is_file()]


def load_plan(name: str, size: str) -> Plan:
    """The plan of an experiment; raises `InputError` for another name, size or key."""
    own = experiments_folder() / name / OWN_PROGRAM
    if own.is_file():
        raise InputError(f"experiment {name} is a program of its own: python {own} --help")
    if name not in experiment_names():
        raise InputError(f"no experiment {name!r}; there are: {', '.join(experiment_names())}")
    if size not in SIZES:
        raise InputError(f"size {size!r}: expected {' or '.join(SIZES)}")
    path = experiments_folder() / name / f"{size}.yaml"
    if not path.is_file():
        raise InputError(f"experiment {name} has no size {size}: {path} is missing")
    return read_plan(path, name=name, size=size)


def read_plan(path: Path, *, name: str, size: str) -> Plan:
    """The plan in a file; raises `InputError`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values")
    where = str(path)
    content["data"] = {key: _data_set(value, f"{where}: data {key}") for key, value in content.get("data", {}).items()}
    arms = content.get("arms") or {}
    content["arms"] = {key: _made(Arm, value or {}, f"{where}: arm {key}") for key, value in arms.items()}
    content["effects"] = tuple(_made(Effect, value, f"{where}: effects") for value in content.get("effects", ()))
    plan = _made(Plan, {**content, "name": name, "size": size}, where)
    return _checked(plan, where)


def _data_set(value: Mapping[str, Any], where: str) -> DataSet:
    value = dict(value)
    parts = value.pop("parts", None) or [{key: value.pop(key) for key in ("source", "root", "options") if key in value}]
    value["parts"] = tuple(_made(Part, part, where) for part in parts)
    value["sources"] = {name: tuple(known) for name, known in (value.get("sources") or {}).items()}
    return _made(DataSet, value, where)


def _made(kind: type[T], value: Mapping[str, Any], where: str) -> T:
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    wrong = [key for key in value if key not in known]
    if wrong:
        raise InputError(f"{where}: no key {wrong[0]!r}; there are: {', '.join(known)}")
    try:
        return kind(**{key: tuple(part) if isinstance(part, list) else part for key, part in value.items()})
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error


def _checked(plan: Plan, where: str) -> Plan:
    if plan.analysis not in ANALYSES:
        raise InputError(f"{where}: analysis {plan.analysis!r}; expected one of {', '.join(ANALYSES)}")
    if not plan.data or not plan.arms:
        raise InputError(f"{where}: an experiment needs data and arms")
    for effect in plan.effects:
        for wanted in (effect.arm, effect.against):
            if wanted not in plan.arms:
                raise InputError(f"{where}: effects name the arm {wanted!r}; there are: {', '.join(plan.arms)}")
    for name, arm in plan.arms.items():
        unknown = [data for data in arm.data if data not in plan.data]
        if unknown:
            raise InputError(f"{where}: arm {name} names data {unknown[0]!r}; there are: {', '.join(plan.data)}")
    return plan


def runs_of(plan: Plan, seeds: Sequence[int]) -> list[tuple[str, str, int]]:
    """(data, arm, seed) of every run: seed by seed, so that an interrupted experiment has whole pairs."""
    return [
        (data, name, seed)
        for place, seed in enumerate(seeds)
        for data in plan.data
        for name, arm in plan.arms.items()
        if (not arm.data or data in arm.data) and (arm.seeds is None or place < arm.seeds)
    ]
