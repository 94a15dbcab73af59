"""The images of an experiment with everything that is known of them, and what each arm is told of it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.errors import InputError
from la_medical.experiments.composites import composite_of, draw
from la_medical.experiments.plan import Arm, DataSet, Part
from la_medical.labels import LabelSpace
from la_medical.manifest.assemble import assemble
from la_medical.manifest.card import SourceCard
from la_medical.manifest.sources.registry import read_source, source_options
from la_medical.manifest.split import split
from la_medical.manifest.table import LABEL_PREFIX, Manifest, read_manifest, write_manifest

COMMAND = "la-medical experiment"
DERIVED = SourceCard(name="part", title="A part of a fully labelled set, as a source that knows some classes")


def whole(data: DataSet, *, name: str, root: Path, cache: Path) -> Manifest:
    """Every image of a data set with all its labels; read and unpacked once into `cache`, then read from there.

    The table's name holds a hash of the description, so several experiments can share `cache`.

    Raises:
        InputError: data that are not there, or a layout that is not the official one.
    """
    described = json.dumps([str(root), asdict(replace(data, train=None, val=None, test=None))], default=str)
    table = cache / f"{name}-{hashlib.sha256(described.encode()).hexdigest()[:12]}.csv"
    if table.is_file() and table.with_suffix(".json").is_file():
        return read_manifest(table)
    parts = [_read(part, root, cache / "images" / _folder_name(part)) for part in data.parts]
    manifest = parts[0] if len(parts) == 1 else assemble(parts, LabelSpace.load(parts[0].space.name))
    if data.composite is not None:
        manifest = draw(manifest, composite_of(data.composite), cache / "images" / table.stem)
    if data.split is not None:
        blank = replace(manifest, table=manifest.table.assign(split=""))
        manifest = split(blank, val=float(data.split["val"]), test=float(data.split["test"]), seed=0)
    write_manifest(manifest, table, command=COMMAND)
    return read_manifest(table)


def _folder_name(part: Part) -> str:
    return f"{part.source}-{hashlib.sha256(part.root.encode()).hexdigest()[:8]}"


def _read(part: Part, root: Path, images: Path) -> Manifest:
    options = dict(part.options)
    if "images_out" in source_options(part.source):
        options["images_out"] = images
    return read_source(part.source, root / part.root, **options)


def drawn_for_seed(manifest: Manifest, data: DataSet, *, name: str, seed: int) -> Manifest:
    """The images of one seed: a draw of the training images; validation and test are the same for every seed."""
    table = manifest.table
    kept: list[NDArray[np.int64]] = []
    for part, count in (("train", data.train), ("val", data.val), ("test", data.test)):
        rng = np.random.default_rng([seed if part == "train" else 0, zlib.crc32(f"{name} {part}".encode())])
        there = (table["split"] == part).to_numpy()
        asked = count if isinstance(count, Mapping) else {}
        left = there & ~table["source"].isin(list(asked)).to_numpy()
        groups: list[tuple[str, NDArray[np.bool_], int | None]] = [
            (source, there & (table["source"] == source).to_numpy(), int(n)) for source, n in asked.items()
        ]
        groups.append(("", left, None if isinstance(count, Mapping) else count))
        for source, here, number in groups:
            rows = np.flatnonzero(here)
            if number is not None and len(rows) < number:
                of = f" of {source}" if source else ""
                raise InputError(f"data {name}: {number} {part} images{of} are asked for, and there are {len(rows)}")
            kept.append(rows if number is None else rng.choice(rows, number, replace=False))
    rows = np.sort(np.concatenate(kept))
    chosen = replace(manifest, table=table.iloc[rows].reset_index(drop=True), path=None)
    return chosen if data.classes is None else with_classes(chosen, data.classes)


def with_classes(manifest: Manifest, classes: Sequence[str]) -> Manifest:
    """Only these label columns."""
    space = manifest.space.subset(list(classes))
    dropped = [LABEL_PREFIX + name for name in manifest.classes if name not in space]
    return replace(manifest, table=manifest.table.drop(columns=dropped), space=space)


def known_to(arm: Arm, manifest: Manifest, data: DataSet, *, seed: int) -> Manifest:
    """The training and validation rows as an arm knows them; labels are hidden, never changed.

    The partial sources of `data.sources` are dealt with the seed, the same for every arm.
    """
    table = manifest.table[manifest.table["split"] != "test"].reset_index(drop=True)
    made = replace(manifest, table=table, path=None)
    if data.sources:
        made = made if set(data.sources) <= set(table["source"]) else _dealt(made, data, seed)
        made = _hidden(made, data if arm.known == "sources" else replace(data, sources=_all_know(made, data)))
    if arm.known in ("all", "sources"):
        known = list(made.classes)
    else:
        known = list(data.scored or made.classes) if arm.known == "scored" else list(arm.known)
    made = with_classes(made, known)
    for source, state in arm.keep.items():
        label = LABEL_PREFIX + (data.scored or made.classes)[0]
        left = (made.table["source"] != source) | (made.table[label] == state).fillna(False)
        made = replace(made, table=made.table[left].reset_index(drop=True))
    if arm.only:
        kept = made.table["source"].isin(arm.only)
        made = replace(made, table=made.table[kept].reset_index(drop=True))
        states = made.states()
        having = [name for column, name in enumerate(made.classes) if not np.isnan(states[:, column]).all()]
        made = with_classes(made, having)
    return made


def _dealt(manifest: Manifest, data: DataSet, seed: int) -> Manifest:
    """Each row's source is one of the partial ones, in equal shares within every split."""
    names = sorted(data.sources)
    table = manifest.table.copy()
    rng = np.random.default_rng([seed, 1])
    for part in sorted(set(table["split"])):
        rows = np.flatnonzero((table["split"] == part).to_numpy())
        dealt = np.array(names, dtype=object)[np.arange(len(rows)) % len(names)]
        table.loc[rows[rng.permutation(len(rows))], "source"] = dealt
    return replace(manifest, table=table)


def _all_know(manifest: Manifest, data: DataSet) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(data.sources, manifest.classes)


def _hidden(manifest: Manifest, data: DataSet) -> Manifest:
    table = manifest.table.copy()
    cards = {}
    for name, known in data.sources.items():
        for label in manifest.classes:
            if label not in known:
                table.loc[table["source"] == name, LABEL_PREFIX + label] = pd.NA
        cards[name] = replace(DERIVED, name=name, classes=tuple(known))
    return replace(manifest, table=table, cards=cards)
