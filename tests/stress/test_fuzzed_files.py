"""Damaged and nonsensical files of every kind that comes from outside: our error, or what keeps its rules."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

from la_medical.detection.tables import TABLES, read_candidates
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.manifest import load_card, read_manifest
from la_medical.networks.checkpoint import load_checkpoint, save_checkpoint
from tests.stress.counts import count, report
from tests.stress.file_kinds import KINDS, TABLE_KINDS, check_manifest, replaced, write_manifest
from tests.stress.mutations import damaged


@pytest.mark.parametrize("kind", [*KINDS, *TABLE_KINDS])
def test_a_damaged_file_is_refused_or_keeps_its_rules(tmp_path: Path, kind: str) -> None:
    name, write, read, check = (KINDS | TABLE_KINDS)[kind]
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
    assert outcomes["refused"] > 0 < outcomes["read"]


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
        changed = damaged(good[name], seed)
        if name == "protocol.json" and seed % 8 < 4:  # nonsense in place of a value, in JSON that can be read
            changed = json.dumps(replaced(json.loads(good[name]), random.Random(seed))).encode()
        (candidates_folder / name).write_bytes(changed)
        try:
            read = read_candidates(candidates_folder)
            assert all(isinstance(name, str) for name in read.classes)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
        (candidates_folder / name).write_bytes(good[name])
    report("files_candidates", outcomes)
    assert outcomes["refused"] > 0 < outcomes["read"]


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
    good, whole = path.read_bytes(), load_checkpoint(path)
    outcomes: Counter[str] = Counter()
    for seed in range(count(100, 5000)):
        path.write_bytes(damaged(good, seed))
        try:
            read = load_checkpoint(path)
            assert (read.label_space, read.network_config) == (whole.label_space, whole.network_config)
            for name, value in whole.state_dict.items():
                torch.testing.assert_close(read.state_dict[name], value, rtol=0, atol=0)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    report("files_checkpoint", outcomes)
    assert outcomes["refused"] > 0 < outcomes["read"]
