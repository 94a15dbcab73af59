"""Damaged and nonsensical files of every kind that comes from outside: our error, or what keeps its rules."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from la_medical.detection.operating_point import read_point
from la_medical.detection.tables import TABLES, read_candidates
from la_medical.diagnosis.predictions import read_predictions
from la_medical.dicom.series import read_series_table
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.manifest import load_card, read_manifest
from la_medical.networks.checkpoint import load_checkpoint, save_checkpoint
from la_medical.resources import cards_folder, label_spaces_folder
from tests.stress.counts import count, report
from tests.stress.mutations import damaged

VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    "",
    "nan",
    "../../etc/passwd",
    "x" * 5000,
    [],
    [[]],
    {},
    {"a": 1},
    "\0",
)


def replaced(content: Any, draw: random.Random) -> Any:
    """`content` with one value somewhere in it replaced, removed or renamed."""
    content = json.loads(json.dumps(content))
    place, parents = content, []
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        parents.append((place, draw.choice(keys)))
        place = parents[-1][0][parents[-1][1]]
        if draw.random() < 0.3:
            break
    if not parents:
        return draw.choice(VALUES)
    holder, key = parents[-1]
    kind = draw.random()
    if kind < 0.7:
        holder[key] = draw.choice(VALUES)
    elif kind < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[str(draw.choice(VALUES))[:40]] = holder.pop(key)
    else:
        holder.append(holder[key])
    return content


MANIFEST = (
    "case_id,patient_id,source,split,image,mask,age,label.pdac,label.cyst\n"
    "a1,p1,one,train,i/a1.nii.gz,m/a1.nii.gz,61,1,0\n"
    "a2,007,one,val,i/a2.nii.gz,,NA,0,\n"
    'a3,"Doe, J",two,test,i/a3.nii.gz,,,-1,1\n'
)


def write_manifest(path: Path, _: random.Random) -> Path:
    path.write_text(MANIFEST)
    return path


def check_manifest(manifest: Any) -> None:
    states = manifest.states()
    assert np.isin(states[~np.isnan(states)], (-1, 0, 1)).all()
    assert manifest.table["case_id"].is_unique
    assert manifest.table["case_id"].str.fullmatch(r"[A-Za-z0-9._-]+").all()
    assert manifest.table["split"].isin(["", "train", "val", "test"]).all()
    for name in (*manifest.table["image"], *manifest.table["mask"]):
        assert ".." not in Path(name).parts
        assert not name.startswith("/")


def check_predictions(table: Any) -> None:
    values = table.filter(like="prob.").to_numpy(float)
    known = values[~np.isnan(values)]
    assert ((known >= 0) & (known <= 1)).all()
    assert table["case_id"].is_unique


def check_point(point: Any) -> None:
    assert 0 <= point.threshold < np.inf
    assert isinstance(point.name, str)


def check_space(space: Any) -> None:
    names = list(space.names)
    assert len(set(names)) == len(names) > 0


POINT = {
    "schema_version": 1,
    "class": "pdac",
    "controls": "all",
    "score": "max_confidence",
    "threshold": 0.41,
    "min_volume_mm3": 0.0,
    "wanted": {"specificity": 0.98},
    "achieved": {
        name: {
            "estimate": 0.9,
            "low": 0.8,
            "high": 0.95,
            "numerator": 9,
            "denominator": 10,
            "method": "",
            "reason": None,
        }
        for name in ("sensitivity", "specificity")
    },
    "reached": True,
    "chosen_on": {"split": "val", "patients": ["ab"], "candidates_sha256": "cd", "classes": ["pdac"]},
    "protocol": {},
}


def as_json(content: Any) -> Callable[[Path, random.Random], Path]:
    def write(path: Path, draw: random.Random) -> Path:
        path.write_text(json.dumps(replaced(content, draw)))
        return path

    return write


def as_yaml(file: Path) -> Callable[[Path, random.Random], Path]:
    content = yaml.safe_load(file.read_text())

    def write(path: Path, draw: random.Random) -> Path:
        path.write_text(yaml.safe_dump(replaced(content, draw)))
        return path

    return write


def as_text(text: str) -> Callable[[Path, random.Random], Path]:
    def write(path: Path, _: random.Random) -> Path:
        path.write_text(text)
        return path

    return write


def no_check(_: Any) -> None:
    """There is no rule beyond having been read."""


SPACES = label_spaces_folder()
KINDS: dict[str, tuple[str, Callable[[Path, random.Random], Path], Callable[[Path], Any], Callable[[Any], None]]] = {
    "manifest": ("m.csv", write_manifest, read_manifest, check_manifest),
    "predictions": (
        "p.csv",
        as_text("case_id,prob.pdac,prob.cyst\na1,0.25,1\na2,0,\n007,1e-9,0.5\n"),
        read_predictions,
        check_predictions,
    ),
    "operating point": ("point.json", as_json(POINT), read_point, check_point),
    "label space": ("space.yaml", as_yaml(SPACES / "pancreatic_ct.yaml"), LabelSpace.load, check_space),
    "card": ("card.yaml", as_yaml(cards_folder() / "msd_pancreas.yaml"), load_card, no_check),
    "series table": ("series.csv", as_text("patient_id,study_uid,series_uid,kind,files\np,1.2,1.3,volume,a;b\n"),
                     read_series_table, no_check),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_or_keeps_its_rules(tmp_path: Path, kind: str) -> None:
    name, write, read, check = KINDS[kind]
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(count(150, 20_000)):
            draw = random.Random(seed)
            path = write(tmp_path / name, draw)
            if seed % 2 or write is write_manifest:
                path.write_bytes(damaged(path.read_bytes(), seed))
            try:
                result = read(path)
            except InputError as error:
                outcomes["refused" if "\n" not in str(error) else "said in several lines"] += 1
                continue
            outcomes["read"] += 1
            check(result)
    assert "said in several lines" not in outcomes
    report(f"files_{kind.replace(' ', '_')}", outcomes)
    assert outcomes["refused"] > 0


def test_a_damaged_json_beside_a_manifest(tmp_path: Path) -> None:
    from la_medical.manifest import from_columns
    from la_medical.manifest import write_manifest as write

    table = pd.read_csv(write_manifest(tmp_path / "hand.csv", random.Random(0)), dtype=str, keep_default_na=False)
    cards = {name: load_card("image_mask_pairs") for name in ("one", "two")}
    space = LabelSpace.load("pancreatic_ct")
    path = write(from_columns(table, root=tmp_path, space=space, cards=cards), tmp_path / "m.csv", command="test")
    good = path.with_suffix(".json").read_bytes()
    outcomes: Counter[str] = Counter()
    for seed in range(count(150, 20_000)):
        changed = (
            damaged(good, seed) if seed % 2 else json.dumps(replaced(json.loads(good), random.Random(seed))).encode()
        )
        path.with_suffix(".json").write_bytes(changed)
        try:
            check_manifest(read_manifest(path))
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    report("files_manifest_json", outcomes)
    assert outcomes["refused"] > 0 < outcomes["read"]


def test_a_damaged_candidates_folder_is_refused(tmp_path: Path, candidates_folder: Path) -> None:
    files = [*(f"{name}.parquet" for name in TABLES), "protocol.json"]
    good = {name: (candidates_folder / name).read_bytes() for name in files}
    outcomes: Counter[str] = Counter()
    for seed in range(count(100, 10_000)):
        name = files[seed % len(files)]
        (candidates_folder / name).write_bytes(damaged(good[name], seed))
        try:
            read_candidates(candidates_folder)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
        (candidates_folder / name).write_bytes(good[name])
    report("files_candidates", outcomes)
    assert outcomes["refused"] > 0


@pytest.fixture
def candidates_folder(tmp_path: Path) -> Path:
    from la_medical.cli.main import main
    from tests.stress.test_disk_faults import cohort
    from tests.stress.test_killed import MEANING

    predictions, manifest = cohort(tmp_path / "hospital", 4)
    out = tmp_path / "found"
    assert (
        main(["detect", str(predictions), "--manifest", str(manifest), *MEANING, "--out", str(out), "--workers", "1"])
        == 0
    )
    return out


def test_a_damaged_checkpoint_is_refused_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    network = torch.nn.Linear(3, 2)
    save_checkpoint(
        path, network=network, label_space=LabelSpace.load("pancreatic_ct"), network_config={}, provenance={}
    )
    good = path.read_bytes()
    outcomes: Counter[str] = Counter()
    for seed in range(count(100, 5000)):
        path.write_bytes(damaged(good, seed))
        try:
            load_checkpoint(path)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    report("files_checkpoint", outcomes)
    assert outcomes["refused"] > 0
