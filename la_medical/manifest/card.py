"""Source cards: what one data set is, what its blanks mean, and what its masks hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from la_medical.errors import ManifestError
from la_medical.parsing import read_yaml, text_of
from la_medical.resources import cards_folder


@dataclass(frozen=True)
class SourceCard:
    """One data set as published, or one hospital's cohort.

    `classes`: the classes its annotators looked for; every other class of a label space is unknown in it.
    `blank_means`: what an empty label says there, in words.
    `mask_values`: integer mask value to the classes such a voxel belongs to (0 is background and not listed).
    `derived_from`: other sources whose images are, or may be, inside this one, each with what is known of it.
    `unverified`: what in the card could not be checked against the source or a second account of it.
    `phantom`: its images are drawn by a program and show no patient.
    """

    name: str
    title: str = ""
    version: str = ""
    licence: str = ""
    citation: str = ""
    url: str = ""
    label_space: str = ""
    classes: tuple[str, ...] = ()
    blank_means: str = ""
    patient_id: str = ""
    mask_values: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    derived_from: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    unverified: str = ""
    phantom: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain content, as it stands in the JSON beside a manifest (empty entries left out)."""
        content: dict[str, Any] = {
            key: getattr(self, key)
            for key in ("title", "version", "licence", "citation", "url", "label_space", "blank_means", "patient_id")
            if getattr(self, key)
        }
        content["classes"] = list(self.classes)
        if self.mask_values:
            content["mask_values"] = {str(value): list(names) for value, names in sorted(self.mask_values.items())}
        if self.derived_from:
            content["derived_from"] = dict(self.derived_from)
        for key in ("notes", "unverified"):
            if getattr(self, key):
                content[key] = getattr(self, key)
        if self.phantom:
            content["phantom"] = True
        return content

    @staticmethod
    def from_dict(name: str, content: Mapping[str, Any]) -> SourceCard:
        """Read a card file's content or an entry of a manifest's JSON; raises `ManifestError`."""
        if not isinstance(content, Mapping):
            raise ManifestError(f"card of {name}: {type(content).__name__}; expected keys such as classes and licence")
        known = set(SourceCard.__dataclass_fields__)
        unknown = set(content) - known
        if unknown:
            raise ManifestError(
                f"card of {name}: unknown key {min(map(str, unknown))!r}; known are {', '.join(sorted(known))}"
            )
        try:
            values = {
                _mask_value(value): tuple([names] if isinstance(names, str) else map(text_of, names))
                for value, names in (content.get("mask_values") or {}).items()
            }
            if len(values) < len(content.get("mask_values") or {}):
                raise ValueError("a value of mask_values stands twice")
            classes = content.get("classes") or ()
            text = {key: text_of(content.get(key) or "").strip() for key in _TEXT_KEYS}
            return SourceCard(
                name=name,
                classes=(classes,) if isinstance(classes, str) else tuple(map(text_of, classes)),
                mask_values=values,
                derived_from={str(k): text_of(v) for k, v in (content.get("derived_from") or {}).items()},
                phantom=bool(content.get("phantom", False)),
                **text,
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise ManifestError(
                f"card of {name}: {error}; see docs/reference/cards.md for what a card holds"
            ) from error


def _mask_value(value: Any) -> int:
    """A key of `mask_values`: a whole number, as text where it was a key of JSON."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"mask value {value!r}; expected a whole number")
    return int(value)


_TEXT_KEYS = (
    "title", "version", "licence", "citation", "url", "label_space", "blank_means", "patient_id", "notes", "unverified",
)  # fmt: skip


def load_card(source: str | Path) -> SourceCard:
    """The packaged card of a source (`chestxray14`), or one from a YAML file; raises `ManifestError`."""
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"}:
        path = cards_folder() / f"{source}.yaml"
    if not path.is_file():
        have = ", ".join(sorted(card.stem for card in cards_folder().glob("*.yaml")))
        raise ManifestError(f"no card for source {str(source)!r}; there are: {have}; or give a path that ends in .yaml")
    content = read_yaml(path, ManifestError)
    if not isinstance(content, dict):
        raise ManifestError(f"{path}: a card is a mapping of keys to values, this holds {type(content).__name__}")
    name = content.pop("name", None) or path.stem
    try:
        return SourceCard.from_dict(text_of(name), content)
    except TypeError as error:
        raise ManifestError(f"{path}: name: {error}") from error
