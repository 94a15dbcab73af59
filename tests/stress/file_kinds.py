"""The kinds of file that come from outside: a good one, its reader, and the rules that what was read must keep."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from la_medical.detection.operating_point import read_point
from la_medical.detection.protocol import Protocol
from la_medical.detection.score_table import read_score_table
from la_medical.diagnosis.predictions import read_predictions
from la_medical.dicom.series import read_series_table, select_series, series_files
from la_medical.dicom.series_row import COLUMNS
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.manifest import load_card, read_manifest
from la_medical.resources import cards_folder, label_spaces_folder

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
    assert point.target.endswith(("% sensitivity", "% specificity"))
    assert bool(point.missed) != point.reached


def check_space(space: Any) -> None:
    names = list(space.names)
    assert len(set(names)) == len(names) > 0


POINT = {
    "schema_version": 1,
    "class": "pdac",
    "controls": "all",
    "score": "max_candidate",
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
    "protocol": Protocol().to_dict(),
}


def series_table() -> str:
    """Two CT volumes; every other text is a word, every other number 1 or 2.5."""
    values = {"text": "word", "integer": "1", "number": "2.5"}
    rows = []
    for number in range(2):
        row = {name: values[kind] for name, kind in COLUMNS.items()}
        row |= {"series_uid": f"1.2.{number}", "folder": "a/b", "files": json.dumps(["1.dcm", "2.dcm"])}
        row |= {"modality": "CT", "kind": "volume", "phase": "unknown", "spacing": "[0.7, 0.7, 2.5]"}
        rows.append(row)
    return pd.DataFrame(rows).to_csv(index=False)


def check_series(table: Any) -> None:
    assert {str(table[name].dtype) for name, kind in COLUMNS.items() if kind == "number"} == {"float64"}
    assert {str(table[name].dtype) for name, kind in COLUMNS.items() if kind == "integer"} == {"Int64"}
    with contextlib.suppress(InputError):
        assert len(select_series(table, min_slices=1)) <= 2
    for _, row in table.iterrows():
        try:
            files = series_files(row, Path("root"))
        except InputError:
            continue
        for file in files:
            assert file.parts[0] == "root"
            assert ".." not in file.parts


SERIES = series_table()


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


def as_parquet(text: str) -> Callable[[Path, random.Random], Path]:
    """The table of a CSV as Parquet, one of its columns of another type now and then."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)

    def write(path: Path, draw: random.Random) -> Path:
        changed = table.copy()
        if draw.random() < 0.5:
            values = draw.choice(VALUES_OF_COLUMNS)
            changed[draw.choice(list(table.columns))] = pd.Series([values] * len(table), dtype=object)
        with contextlib.suppress(ValueError, TypeError):  # what Parquet cannot hold: the column stays as it was
            changed.to_parquet(path)
            return path
        table.to_parquet(path)
        return path

    return write


def check_scores(read: Any) -> None:
    classes, scores = read
    assert all(0 <= row[name] <= 1 or np.isnan(row[name]) for row in scores.values() for name in classes)


VALUES_OF_COLUMNS = (
    None, True, 1, -1, 2**62, 0.5, float("nan"), float("inf"), -float("inf"), b"\xff", "", "x", ["a"], {"a": 1},
    pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01", tz="UTC"), pd.Timedelta(1), datetime.date(2020, 1, 1),
    Decimal("0.5"),
)  # fmt: skip
PREDICTIONS = "case_id,prob.pdac,prob.cyst\na1,0.25,1\na2,0,0.125\n007,1e-9,0.5\n"
SPACES = label_spaces_folder()
KINDS: dict[str, tuple[str, Callable[[Path, random.Random], Path], Callable[[Path], Any], Callable[[Any], None]]] = {
    "manifest": ("m.csv", write_manifest, read_manifest, check_manifest),
    "predictions": (
        "p.csv",
        as_text(PREDICTIONS),
        read_predictions,
        check_predictions,
    ),
    "operating point": ("point.json", as_json(POINT), read_point, check_point),
    "label space": ("space.yaml", as_yaml(SPACES / "pancreatic_ct.yaml"), LabelSpace.load, check_space),
    "card": ("card.yaml", as_yaml(cards_folder() / "msd_pancreas.yaml"), load_card, no_check),
    "series table": ("series.csv", as_text(SERIES), read_series_table, check_series),
}  # fmt: skip
TABLE_KINDS = {
    "scores": ("s.csv", as_text(PREDICTIONS), read_score_table, check_scores),
    "manifest in Parquet": ("m.parquet", as_parquet(MANIFEST), read_manifest, check_manifest),
    "predictions in Parquet": ("p.parquet", as_parquet(PREDICTIONS), read_predictions, check_predictions),
    "scores in Parquet": ("s.parquet", as_parquet(PREDICTIONS), read_score_table, check_scores),
    "series table in Parquet": ("series.parquet", as_parquet(SERIES), read_series_table, check_series),
}
"""Kinds that are read by what reads the CSV of `KINDS`: damaged at random, not by coverage."""
