"""The label space: which classes exist, how they are spelled, and how they relate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from la_medical.errors import LabelError, one_line
from la_medical.parsing import read_yaml, text_of
from la_medical.resources import label_spaces_folder

POSITIVE, NEGATIVE, UNCERTAIN = 1, 0, -1
"""The three stated label states. The fourth, unknown, is blank in a file and NaN in an array, never 0."""

ANATOMICAL_STRUCTURE = ("91723000", "SCT")
"""Code and scheme of the category of organs and their parts (DICOM PS3.16, CID 7150)."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def spelling_key(text: str) -> str:
    """`text` reduced to what spellings share: lower case, runs of anything but letters and digits as one `_`."""
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


@dataclass(frozen=True)
class LabelClass:
    """One class of a label space.

    `union_of`: this class is present exactly where one of these is (a source that only says "tumour").
    `excludes`: where this class is present none of these is; the relation holds both ways.
    `codes`: coded terms by scheme, for DICOM SEG and reports, each `(value, scheme, meaning)`.
    """

    name: str
    display: str = ""
    synonyms: tuple[str, ...] = ()
    union_of: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    codes: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)

    @property
    def is_anatomy(self) -> bool:
        """Whether its coded category is an organ or a part of one, not a finding."""
        return tuple(self.codes.get("category", ())[:2]) == ANATOMICAL_STRUCTURE


@dataclass(frozen=True)
class LabelSpace:
    """An ordered set of classes. The order is the order of label columns, answers and prediction channels.

    `excludes_hold`: "case", where an image shows one of two exclusive classes and not the other, or "voxel", where a
    patient may have both but no voxel belongs to both (a cyst beside a cancer).
    """

    name: str
    classes: tuple[LabelClass, ...]
    version: str = "1"
    excludes_hold: str = "case"

    def __post_init__(self) -> None:
        if self.excludes_hold not in ("case", "voxel"):
            raise LabelError(f"label space {self.name}: excludes_hold {self.excludes_hold!r}; expected case or voxel")
        seen: dict[str, str] = {}
        names = set(self.names)
        for label in self.classes:
            if not _NAME.fullmatch(label.name):
                raise LabelError(
                    f"label space {self.name}: class name {label.name!r} is not lower snake case; "
                    f"write {spelling_key(label.name)!r} and keep the other spelling as a synonym"
                )
            for spelling in (label.name, *label.synonyms):
                key = spelling_key(spelling)
                if seen.setdefault(key, label.name) != label.name:
                    raise LabelError(
                        f"label space {self.name}: {spelling!r} spells both {seen[key]!r} and {label.name!r}; "
                        "a spelling may belong to one class only"
                    )
            unknown = [other for other in (*label.union_of, *label.excludes) if other not in names]
            if unknown:
                raise LabelError(
                    f"label space {self.name}: {label.name!r} refers to {unknown[0]!r}, which is not a class of it"
                )
        if len(names) != len(self.classes):
            raise LabelError(f"label space {self.name}: a class is listed twice")
        object.__setattr__(self, "_by_spelling", seen)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(label.name for label in self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> LabelClass:
        return self.classes[self.index(name)]

    def index(self, name: str) -> int:
        """Position of a class by any of its spellings; raises `LabelError`."""
        return self.names.index(self.resolve(name))

    def find(self, spelling: str) -> str | None:
        """The class that `spelling` names, or None."""
        return self._by_spelling.get(spelling_key(spelling))  # type: ignore[attr-defined]

    def resolve(self, spelling: str) -> str:
        """The class that `spelling` names; raises `LabelError` with the nearest spelling."""
        found = self.find(spelling)
        if found is None:
            near = self.nearest(spelling)
            hint = f"did you mean {near!r}?" if near else f"its classes are: {', '.join(self.names)}"
            raise LabelError(f"{spelling!r} is no class of label space {self.name}; {hint}")
        return found

    def nearest(self, spelling: str) -> str | None:
        """The class whose spelling comes closest to a misspelt one, or None if none is near."""
        known: dict[str, str] = self._by_spelling  # type: ignore[attr-defined]
        near = difflib.get_close_matches(spelling_key(spelling), known, n=1, cutoff=0.8)
        return known[near[0]] if near else None

    def subset(self, names: Iterable[str]) -> LabelSpace:
        """The same space with these classes only, in the order of the space; relations to other classes are dropped."""
        wanted = {self.resolve(name) for name in names}
        return LabelSpace(
            name=self.name,
            version=self.version,
            excludes_hold=self.excludes_hold,
            classes=tuple(
                LabelClass(
                    name=label.name,
                    display=label.display,
                    synonyms=label.synonyms,
                    union_of=label.union_of if wanted.issuperset(label.union_of) else (),
                    excludes=tuple(other for other in label.excludes if other in wanted),
                    codes=label.codes,
                )
                for label in self.classes
                if label.name in wanted
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain content for JSON, YAML and checkpoints; `from_dict` reads it back."""
        classes = []
        for label in self.classes:
            entry: dict[str, Any] = {"name": label.name, "display": label.display}
            for key in ("synonyms", "union_of", "excludes"):
                if values := getattr(label, key):
                    entry[key] = list(values)
            if label.codes:
                entry["codes"] = {scheme: list(code) for scheme, code in label.codes.items()}
            classes.append(entry)
        hold = {"excludes_hold": self.excludes_hold} if self.excludes_hold != "case" else {}
        return {"name": self.name, "version": self.version, **hold, "classes": classes}

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> LabelSpace:
        """Read what `to_dict` or a label space file holds; raises `LabelError`."""
        try:
            space = LabelSpace(
                name=text_of(content["name"]),
                version=text_of(content.get("version", "1")),
                excludes_hold=text_of(content.get("excludes_hold", "case")),
                classes=tuple(_class_from(entry) for entry in content["classes"]),
            )
        except LabelError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise LabelError(
                f"not a label space ({type(error).__name__}: {one_line(str(error), 200)}); expected name, version and "
                "a list of classes, each with a name and optionally display, synonyms, union_of, excludes, codes"
            ) from error
        if not space.classes:
            raise LabelError(f"label space {space.name!r} has no class; expected a list of them")
        return space

    @staticmethod
    def load(name: str | Path) -> LabelSpace:
        """A packaged label space by name (`chest_xray`), or one from a YAML file; raises `LabelError`."""
        path = Path(name)
        if path.suffix not in {".yaml", ".yml"}:
            path = label_spaces_folder() / f"{name}.yaml"
        if not path.is_file():
            have = ", ".join(packaged_label_spaces())
            raise LabelError(f"no label space {str(name)!r}; there are: {have}; or give a path that ends in .yaml")
        return LabelSpace.from_dict(read_yaml(path, LabelError))


def packaged_label_spaces() -> list[str]:
    """Names of the label spaces that come with the package."""
    return sorted(path.stem for path in label_spaces_folder().glob("*.yaml"))


def _class_from(entry: Mapping[str, Any] | str) -> LabelClass:
    if isinstance(entry, str):
        return LabelClass(name=entry)
    unknown = set(entry) - {"name", "display", "synonyms", "union_of", "excludes", "codes"}
    if unknown:
        raise LabelError(f"class {entry.get('name')!r} has an unknown key {sorted(unknown)[0]!r} in its label space")
    return LabelClass(
        name=text_of(entry["name"]),
        display="" if entry.get("display") is None else text_of(entry["display"]),
        synonyms=_names(entry.get("synonyms") or ()),
        union_of=_names(entry.get("union_of") or ()),
        excludes=_names(entry.get("excludes") or ()),
        codes={
            scheme: (text_of(v), text_of(s), text_of(m)) for scheme, (v, s, m) in (entry.get("codes") or {}).items()
        },
    )


def _names(value: Iterable[Any] | str) -> tuple[str, ...]:
    """A list of names; YAML's `synonyms: tumor` is a list of one, not of letters."""
    return (value,) if isinstance(value, str) else tuple(map(text_of, value))
