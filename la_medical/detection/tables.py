"""The candidates folder: four files that hold all that `evaluate` needs. Columns: docs/reference/detection.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import read_json, sha256_of, write_json, written_whole
from la_medical.detection.protocol import Protocol
from la_medical.errors import PredictionError
from la_medical.tables import read_table

SCHEMA_VERSION = 1
TABLES = ("candidates", "lesions", "patients")

_SIZE = {
    "volume_mm3": "float64",
    "diameter_mm": "float64",
    "x": "float64",
    "y": "float64",
    "z": "float64",
}
CANDIDATE_COLUMNS = {
    "case_id": "str",
    "class": "str",
    "rank": "Int64",
    "confidence": "float64",
    **_SIZE,
    "matched": "boolean",
    "reference_id": "Int64",
    "iou": "float64",
    "dice": "float64",
    "outcome": "str",
    "equivalent_diameter_mm": "float64",
    "max_voxel": "float64",
    "voxels": "Int64",
    "patient_id": "str",
    "source": "str",
    "split": "str",
}
LESION_COLUMNS = {
    "case_id": "str",
    "class": "str",
    "reference_id": "Int64",
    **_SIZE,
    "found": "boolean",
    "candidate_rank": "Int64",
    "confidence": "float64",
    "iou": "float64",
    "dice": "float64",
    "equivalent_diameter_mm": "float64",
    "voxels": "Int64",
    "patient_id": "str",
    "source": "str",
    "split": "str",
}


@dataclass(frozen=True)
class CandidatesFolder:
    """What `detect` wrote. `protocol` is the content of `protocol.json`; `sha256` identifies all four files."""

    path: Path
    candidates: pd.DataFrame
    lesions: pd.DataFrame
    patients: pd.DataFrame
    protocol: Mapping[str, Any]
    sha256: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The evaluated classes, in order."""
        return tuple(self.protocol["classes"])


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Rows as a table with exactly these columns and types; what a row lacks is missing, and stays so."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    for name, kind in columns.items():
        column = frame[name]
        if kind == "str":
            frame[name] = column.where(column.notna(), "").astype(str)
        else:
            frame[name] = column.astype(kind)
    return frame


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame], protocol: Mapping[str, Any]) -> None:
    """Write the four files, `protocol.json` with the hashes of the other three last."""
    for name in TABLES:
        with written_whole(folder / f"{name}.parquet") as temporary:
            tables[name].to_parquet(temporary, index=False)
    hashes = {f"{name}.parquet": sha256_of(folder / f"{name}.parquet") for name in TABLES}
    write_json(folder / "protocol.json", {**protocol, "sha256": hashes})


def read_candidates(path: str | Path) -> CandidatesFolder:
    """Read what `detect` wrote; raises `PredictionError` when it is not whole or was changed."""
    folder = Path(path)
    if not (folder / "protocol.json").is_file():
        raise PredictionError(f"{folder}: no protocol.json; make it with `la-medical detect ... --out {folder}`")
    protocol = read_json(folder / "protocol.json")
    if not isinstance(protocol, dict) or protocol.get("schema_version") != SCHEMA_VERSION:
        raise PredictionError(f"{folder}/protocol.json: expected schema version {SCHEMA_VERSION}; run `detect` again")
    classes, hashes = protocol.get("classes"), protocol.get("sha256")
    if not _names(classes):
        raise PredictionError(f"{folder}/protocol.json: `classes` is no list of names; run `detect` again")
    if (wrong := _wrong(protocol)) is not None:
        raise PredictionError(f"{folder}/protocol.json: `{wrong}` is damaged or missing; run `detect` again")
    frames = {}
    for name in TABLES:
        file = folder / f"{name}.parquet"
        known = hashes.get(file.name) if isinstance(hashes, dict) else None
        if not file.is_file() or sha256_of(file) != known:
            raise PredictionError(f"{file}: missing, or changed since `detect` wrote it; run `detect` again")
        frames[name] = read_table(file, PredictionError)
    return CandidatesFolder(folder, **frames, protocol=protocol, sha256=sha256_of(folder / "protocol.json"))


def _wrong(protocol: Mapping[str, Any]) -> str | None:
    """The first entry of `protocol.json` that is not what `detect` writes, as far as anybody reads it."""
    kinds: dict[str, type] = {
        "prediction_form": str, "positive_rule": str, "patients_known": bool, "phantom": bool, "resampled": dict,
        "reference_problems": dict,
    }  # fmt: skip
    wrong = next((name for name, kind in kinds.items() if not isinstance(protocol.get(name), kind)), None)
    if wrong is not None:
        return wrong
    try:
        Protocol.from_dict(protocol["protocol"])
    except (PredictionError, KeyError, TypeError):
        return "protocol"
    manifest, cases = protocol.get("manifest"), protocol.get("cases", {"missing": [], "failed": []})
    unions, patient_classes = protocol.get("unions", {}), protocol.get("reference_classes", [])
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(key), str) for key in ("name", "sha256")):
        return "manifest"
    if not isinstance(cases, dict) or not all(_names(cases.get(key)) for key in ("missing", "failed")):
        return "cases"
    if not isinstance(unions, dict) or not all(map(_names, unions.values())):
        return "unions"
    return None if _names(patient_classes) else "reference_classes"


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
