"""What a run was made from, in plain words and numbers: for its checkpoint, and to tell whether it may be resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from la_medical.networks.checkpoint import Checkpoint
from la_medical.training.cases import TrainingCases
from la_medical.training.processes import world_size
from la_medical.training.values import names


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


def run_provenance(
    *, cases: TrainingCases, settings: Mapping[str, Any], start: Checkpoint | None = None, train_only: Any = None
) -> dict[str, Any]:
    """The data and the settings of a training, for its checkpoint.

    After a start from another checkpoint, `classes` and `sources` tell how each class was learned: a class that this
    training knows no label of, or that `train_only` froze, keeps what its own training said. `started_from` holds the
    manifest of the earlier training and what it had started from.
    """
    made = {**cases.provenance(), "settings": dict(settings)}
    if start is None:
        return made
    before = dict(start.provenance)
    only = names("train_only", train_only)
    learned = {cases.space.resolve(name) for name in only} if only is not None else set(cases.classes)
    now = {name: facts for name, facts in made["classes"].items() if name in learned and facts["sources"]}
    kept = {name: facts for name, facts in before.get("classes", {}).items() if name not in now}
    made["classes"] = {name: {**kept, **now}.get(name, made["classes"][name]) for name in cases.classes}
    made["sources"] = {**before.get("sources", {}), **made["sources"]}
    made["started_from"] = {key: before[key] for key in ("manifest", "added_classes", "started_from") if key in before}
    return made


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
