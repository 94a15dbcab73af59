"""What a run was made from, in plain words and numbers: for its checkpoint, and to tell whether it may be resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from la_medical.training.cases import TrainingCases
from la_medical.training.processes import world_size


def run_settings(*, cases: TrainingCases, **settings: Any) -> dict[str, Any]:
    """Everything that decides the result of a training but its length, as plain content.

    `settings` may hold numbers in any spelling, and objects such as a loss or views: their public plain attributes
    count. The manifest counts by its sha256, the number of processes because batches are shared out among them.
    """
    return {
        **{key: described(value) for key, value in settings.items()},
        "classes": list(cases.classes),
        "uncertain": {"default": cases.policy.default, **cases.policy.per_class},
        "manifest_sha256": cases.provenance()["manifest"]["sha256"],
        "processes": world_size(),
    }


def run_provenance(*, cases: TrainingCases, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The data and the settings of a training, for its checkpoint."""
    return {**cases.provenance(), "settings": dict(settings)}


def described(thing: Any) -> Any:
    """`thing` as plain content; an object becomes its type and its public attributes that are plain."""
    if thing is None or isinstance(thing, (bool, int, float)):
        return thing
    if isinstance(thing, str):
        return _number_or_text(thing)
    if isinstance(thing, Mapping):
        return {str(key): described(value) for key, value in thing.items()}
    if isinstance(thing, Sequence):
        return [described(value) for value in thing]
    return {"type": type(thing).__name__, **_attributes(thing)}


def _attributes(thing: Any) -> dict[str, Any]:
    found = {}
    for name, value in sorted(vars(thing).items()):
        if name.startswith("_") or name == "training":
            continue
        if value is None or isinstance(value, (bool, int, float, str, Mapping, list, tuple)):
            found[name] = described(value)
    for name, value in sorted(getattr(thing, "_buffers", {}).items()):
        found[name] = None if value is None else value.tolist()
    return found


def _number_or_text(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number
