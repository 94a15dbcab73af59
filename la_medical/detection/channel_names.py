"""Which classes the files of a folder hold: labels.json, or nnU-Net's dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from la_medical.artifacts import read_json
from la_medical.errors import PredictionError


def names_in(root: Path) -> tuple[tuple[str, ...], dict[int, str]]:
    """Channels of labels.json, or label map values of labels.json or of nnU-Net's dataset.json; empty without them.

    Raises `PredictionError` for a file that says something else.
    """
    for name in ("labels.json", "dataset.json"):
        if not (root / name).is_file():
            continue
        content = read_json(root / name)
        try:
            if "channels" in content and name == "labels.json":
                return _distinct(content["channels"]), {}
            return (), _label_values(content["labels"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PredictionError(
                f'{root / name}: expected {{"channels": [...]}} or {{"labels": {{name: value}}}} ({error})'
            ) from error
    return (), {}


def _label_values(labels: Mapping[str, Any]) -> dict[int, str]:
    """`{"1": "pdac"}` or nnU-Net's `{"background": 0, "pdac": 1}` (regions as lists are refused)."""
    if all(str(key).isdigit() for key in labels):
        pairs = [(int(key), str(name)) for key, name in labels.items()]
    else:
        pairs = [(int(value), str(name)) for name, value in labels.items()]
    if len({value for value, _ in pairs}) < len(pairs):
        raise ValueError("one value has two names")
    named = {value: name for value, name in sorted(pairs) if value != 0}
    if not named or min(named) < 1:
        raise ValueError("no value from 1 has a name")
    return named


def _distinct(channels: Any) -> tuple[str, ...]:
    """Names of channels; raises `ValueError` unless they are a list of different names."""
    if not isinstance(channels, list) or not channels or len(set(map(str, channels))) < len(channels):
        raise ValueError(f"channels are {channels!r}, expected a list of different names")
    return tuple(map(str, channels))


def nnunet_labels(root: Path) -> Mapping[str, Any]:
    """`labels` of nnU-Net's dataset.json in the folder; raises `PredictionError`."""
    path = root / "dataset.json"
    if not path.is_file():
        raise PredictionError(f"{root}: .npz files but no dataset.json that names their channels; copy nnU-Net's there")
    content = read_json(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise PredictionError(f'{path}: expected nnU-Net\'s {{"labels": {{name: value}}}}')
    return labels
