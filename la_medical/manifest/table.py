"""The manifest: one table, one row a case, with the JSON that says where it comes from.

Format: docs/reference/manifest.md. Reading checks everything that can be checked without opening an image.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import la_medical
from la_medical.artifacts import read_json, sha256_of, write_json, written_whole
from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelClass, LabelSpace, packaged_label_spaces, spelling_key
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table_files import check_table_suffix as check_table_suffix
from la_medical.manifest.table_files import read_table_file, write_table_file

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")
COLUMNS = ("case_id", "patient_id", "source", "split", "image", "mask")
LABEL_PREFIX = "label."

_STATES = {"": pd.NA, "1": 1, "0": 0, "-1": -1, "1.0": 1, "0.0": 0, "-1.0": -1}


@dataclass(frozen=True)
class Manifest:
    """A checked table.

    `table`: `COLUMNS`, metadata columns (all `str`, blank is ""), then `label.<class>` (`Int8`, blank is NA) in the
    order of `space`. `root`: folder that `image` and `mask` are relative to. `space`: the classes of the label
    columns. `cards`: what is known of each source. `policy`: how uncertain labels are to be read, if the maker said.
    """

    table: pd.DataFrame
    root: Path
    space: LabelSpace
    cards: Mapping[str, SourceCard] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label columns, in order."""
        return self.space.names

    @property
    def metadata(self) -> list[str]:
        """Names of the columns between the fixed ones and the labels."""
        return [name for name in self.table.columns if name not in COLUMNS and not name.startswith(LABEL_PREFIX)]

    def states(self, classes: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Label states (N, K): 1, 0, -1 (uncertain) or NaN (unknown)."""
        names = [LABEL_PREFIX + name for name in (self.classes if classes is None else classes)]
        if not names:
            return np.empty((len(self.table), 0), dtype=np.float32)
        return self.table[names].to_numpy(dtype=np.float32, na_value=np.nan)

    def rows(self, split: str | Sequence[str] | None = None) -> Manifest:
        """The rows of one or several splits (all of them for None); raises `ManifestError` when there are none."""
        if split is None:
            return self
        wanted = [split] if isinstance(split, str) else list(split)
        kept = self.table[self.table["split"].isin(wanted)]
        if kept.empty:
            counts = self.table["split"].replace("", "(blank)").value_counts().to_dict()
            raise ManifestError(
                f"{self.named}: no row has split {' or '.join(wanted)}; rows a split: {counts}; "
                "make splits with `la-medical split`"
            )
        return replace(self, table=kept.reset_index(drop=True))

    @property
    def named(self) -> str:
        """How messages name this manifest."""
        return str(self.path) if self.path else "manifest"

    def file_paths(self, column: str = "image", root: str | Path | None = None) -> list[Path | None]:
        """Absolute path of each row's image or mask, None where blank, below `root` instead of the manifest's own."""
        base = Path(root) if root else self.root
        return [base / name if name else None for name in self.table[column]]


def from_columns(
    columns: Mapping[str, Any] | pd.DataFrame,
    *,
    root: str | Path,
    space: LabelSpace,
    cards: Mapping[str, SourceCard] | None = None,
    allow_absolute: bool = False,
    path: Path | None = None,
) -> Manifest:
    """Build and check a manifest from columns; raises `ManifestError` or `LabelError`.

    Columns may come in any order and with any spelling of a class; labels may be 1, 0, -1 or missing. What the
    manifest's fixed columns lack is blank. Only `case_id` and `image` must be there. `path`: the file they came from.
    """
    frame = pd.DataFrame(columns).reset_index(drop=True)
    return _checked(
        frame, root=Path(root), space=space, cards=cards or {}, policy={}, path=path, absolute=allow_absolute
    )


def read_manifest(
    path: str | Path, *, space: LabelSpace | None = None, root: str | Path | None = None, allow_absolute: bool = False
) -> Manifest:
    """Read a manifest, by its suffix CSV or Parquet, and the JSON beside it if there is one.

    Args:
        path: the table.
        space: label space to read it in; otherwise the JSON's, otherwise the packaged one that has all its columns.
        root: folder of the images instead of the recorded one.
        allow_absolute: accept absolute image paths and paths that leave the root.

    Raises:
        ManifestError: missing or unreadable file, JSON that does not match its table, duplicate or unusable
            `case_id`, unknown split, path that leaves the root.
        LabelError: unknown class, or a label that is not 1, 0, -1 or blank.
    """
    path = Path(path)
    frame = read_table_file(path)
    about = json_beside(path)
    if about is None:
        found = space or space_of_columns([str(name) for name in frame.columns], path)
        return _checked(
            frame, root=Path(root or path.parent), space=found, cards={}, policy={}, path=path, absolute=allow_absolute
        )
    return _checked(
        frame,
        root=Path(root) if root else path.parent / about.get("root", "."),
        space=space or space_beside(about),
        cards={name: SourceCard.from_dict(name, card) for name, card in about.get("sources", {}).items()},
        policy=about.get("label_policy", {}),
        path=path,
        absolute=allow_absolute or bool(about.get("absolute_paths", False)),
    )


def json_beside(path: Path) -> dict[str, Any] | None:
    """The JSON of the table `path`, None where there is none; raises `ManifestError` if it is another's."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    about = _about(beside)
    if sha256_of(path) not in (about["sha256"], about.get("also", {}).get(path.name)):
        raise ManifestError(
            f"{beside} does not belong to {path.name}: the table changed after it was written; make it again with "
            f"`{about.get('command') or 'la-medical'}`, or remove the JSON to use the table as one written by hand"
        )
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ManifestError(f"{beside}: schema version {about.get('schema_version')!r}, expected {SCHEMA_VERSION}")
    return about


def space_beside(about: Mapping[str, Any]) -> LabelSpace:
    """The label space that a manifest's JSON states; one without a class where the table has no label column."""
    content = about["label_space"]
    if content.get("classes") == [] and "name" in content:
        return LabelSpace(name=str(content["name"]), classes=())
    return LabelSpace.from_dict(content)


def _about(beside: Path) -> dict[str, Any]:
    """The JSON beside a manifest, with what is read of it of the right kind."""
    about = read_json(beside)
    kinds = {"sha256": str, "label_space": dict, "root": str, "sources": dict, "label_policy": dict, "also": dict}
    needed = ("sha256", "label_space")
    if (
        not isinstance(about, dict)
        or any(key not in about for key in needed)
        or any(key in about and not isinstance(about[key], kind) for key, kind in kinds.items())
    ):
        raise ManifestError(f"{beside}: not the JSON of a manifest; move it away, or write both with one command")
    return about


def write_manifest(manifest: Manifest, path: str | Path, *, command: str) -> Path:
    """Write the table and its JSON; the same manifest gives the same bytes. Returns the table's path.

    Rows are sorted by `case_id`. The table is renamed into place before its JSON, so an interrupted write is seen as
    a table that does not match its JSON, never as a good one.
    """
    path = Path(path)
    check_table_suffix(path)
    table = manifest.table.sort_values("case_id", kind="stable").reset_index(drop=True)
    with written_whole(path) as temporary:
        write_table_file(table, temporary)
    absolute = any(len(paths_leaving_root(table[column])) for column in ("image", "mask"))
    about: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "root": _recorded_root(manifest.root, path.parent),
        "rows": len(table),
        "sources": {name: manifest.cards[name].to_dict() for name in sorted(manifest.cards)},
        "label_space": manifest.space.to_dict(),
        "label_policy": dict(manifest.policy),
        "command": command,
        "tool_versions": tool_versions(),
        "sha256": sha256_of(path),
    }
    if absolute:
        about["absolute_paths"] = True
    about |= _same_in_another_format(path, about)
    write_json(path.with_suffix(".json"), about)
    return path


def _same_in_another_format(path: Path, about: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`m.csv` and `m.parquet` share `m.json`: keep the hash of the other where both hold the same content."""
    other = path.with_suffix(".parquet" if path.suffix == ".csv" else ".csv")
    beside = path.with_suffix(".json")
    if not (other.is_file() and beside.is_file()):
        return {}
    before = read_json(beside)
    if not isinstance(before, dict) or {**before, "sha256": "", "also": ""} != {**about, "sha256": "", "also": ""}:
        return {}
    known = sha256_of(other)
    if known not in (before.get("sha256"), dict(before.get("also", {})).get(other.name)):
        return {}
    return {"also": {other.name: known}}


def tool_versions() -> dict[str, str]:
    """Versions of what decides a manifest's bytes."""
    return {
        "la_medical": la_medical.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def _recorded_root(root: Path, folder: Path) -> str:
    """Relative where the images lie in the manifest's folder, so that both can be moved; absolute otherwise."""
    inside = root.resolve()
    folder = folder.resolve()
    return inside.relative_to(folder).as_posix() if inside.is_relative_to(folder) else inside.as_posix()


def space_of_columns(columns: Sequence[str], path: Path) -> LabelSpace:
    """The packaged space that knows all label columns; a space of its own when no packaged one knows any of them.

    Raises `LabelError` for a column that the space of the others does not know, or whose name can name no class.
    """
    spellings = [name.removeprefix(LABEL_PREFIX) for name in columns if name.startswith(LABEL_PREFIX)]
    spaces = [LabelSpace.load(name) for name in packaged_label_spaces()]
    for space in spaces:
        if all(space.find(spelling) for spelling in spellings):
            return space.subset([space.resolve(spelling) for spelling in spellings])
    for space in spaces:
        if any(space.find(spelling) or space.nearest(spelling) for spelling in spellings):
            unknown = next(spelling for spelling in spellings if not space.find(spelling))
            near = space.nearest(unknown)
            hint = (
                f"did you mean {LABEL_PREFIX}{near}?"
                if near
                else ("rename it, or read the table with `la-medical manifest image_table` and --label-space FILE.yaml")
            )
            raise LabelError(f"{path}: column {LABEL_PREFIX}{unknown} is no class of label space {space.name}; {hint}")
    return LabelSpace(name=path.stem, classes=own_classes(spellings, path))


def own_classes(spellings: Sequence[str], path: Path) -> tuple[LabelClass, ...]:
    """Classes of their own for label columns that no label space knows; raises `LabelError`."""
    found: dict[str, str] = {}
    for spelling in spellings:
        name = spelling_key(spelling)
        column = f"{path}: column {LABEL_PREFIX}{spelling}"
        if not name[:1].isalpha():
            raise LabelError(f"{column} names no class; expected a name that begins with a letter after {LABEL_PREFIX}")
        if name in found:
            raise LabelError(f"{column} and {LABEL_PREFIX}{found[name]} hold the same class {name!r}; keep one")
        found[name] = spelling
    return tuple(LabelClass(name=name) for name in found)


def _checked(
    frame: pd.DataFrame,
    *,
    root: Path,
    space: LabelSpace,
    cards: Mapping[str, SourceCard],
    policy: Mapping[str, Any],
    path: Path | None,
    absolute: bool,
) -> Manifest:
    named = str(path) if path else "manifest"
    for column in ("case_id", "image"):
        if column not in frame.columns:
            raise ManifestError(f"{named}: no column {column!r}; a manifest has at least case_id and image")
    if frame.empty:
        raise ManifestError(f"{named}: no rows")
    fixed = {
        column: _text(frame[column]) if column in frame.columns else pd.Series("", index=frame.index, dtype=str)
        for column in COLUMNS
    }
    _check_case_ids(fixed["case_id"], named)
    _check_splits(fixed["split"], named)
    if not absolute:
        _check_paths(fixed, named)
    metadata = {
        str(name): _text(frame[name])
        for name in frame.columns
        if name not in COLUMNS and not str(name).startswith(LABEL_PREFIX)
    }
    labels = _labels(frame, space, named)
    ordered = [name for name in space.names if name in labels]
    table = pd.DataFrame({**fixed, **metadata, **{LABEL_PREFIX + name: labels[name] for name in ordered}})
    return Manifest(table=table, root=root, space=space.subset(ordered), cards=cards, policy=policy, path=path)


def _text(column: pd.Series) -> pd.Series:
    return column.astype(str).where(column.notna(), "").astype(str)


def _check_case_ids(case_ids: pd.Series, named: str) -> None:
    usable = case_ids.str.fullmatch(r"[A-Za-z0-9._-]+") & ~case_ids.isin([".", ".."])
    if not usable.all():
        row = int(np.argmin(usable.to_numpy()))
        raise ManifestError(
            f"{named}: case_id {case_ids.iloc[row]!r} in row {row + 1} cannot become a file name; "
            "use letters, digits, '.', '_' and '-' only"
        )
    repeated = case_ids.duplicated()
    if repeated.any():
        first = case_ids[repeated].iloc[0]
        raise ManifestError(
            f"{named}: duplicate case_id {first!r} ({int(repeated.sum())} repeated in all); each case has one row"
        )


def _check_splits(splits: pd.Series, named: str) -> None:
    wrong = splits[~splits.isin([*SPLITS, ""])]
    if len(wrong):
        raise ManifestError(
            f"{named}: split {wrong.iloc[0]!r} in row {wrong.index[0] + 1}; expected train, val, test or blank"
        )


def paths_leaving_root(names: pd.Series) -> pd.Series:
    """Those of `names` that are absolute or climb above the root."""
    suspicious = names[names.str.contains(r"^[/\\]|\.\.|^.:", regex=True)]
    return suspicious[[_leaves_root(str(name)) for name in suspicious]]


def _leaves_root(name: str) -> bool:
    posix = PurePosixPath(name.replace("\\", "/"))
    return posix.is_absolute() or ".." in posix.parts or (len(name) > 1 and name[1] == ":")


def _check_paths(fixed: Mapping[str, pd.Series], named: str) -> None:
    for column in ("image", "mask"):
        for row, name in paths_leaving_root(fixed[column]).items():
            raise ManifestError(
                f"{named}: {column} {name!r} in row {int(str(row)) + 1} leaves the manifest's root; "
                "write paths relative to the root"
            )


def _labels(frame: pd.DataFrame, space: LabelSpace, named: str) -> dict[str, pd.Series]:
    labels: dict[str, pd.Series] = {}
    for column in frame.columns:
        if not str(column).startswith(LABEL_PREFIX):
            continue
        try:
            name = space.resolve(str(column).removeprefix(LABEL_PREFIX))
        except LabelError as error:
            raise LabelError(f"{named}: {error}") from error
        if name in labels:
            raise LabelError(f"{named}: two columns hold the class {name!r}; keep one")
        labels[name] = _label_column(frame[column], str(column), named)
    return labels


def _label_column(column: pd.Series, name: str, named: str) -> pd.Series:
    if column.dtype == "Int8" and column.dropna().isin([1, 0, -1]).all():
        return column
    text = column.where(column.notna(), "").astype(str).str.strip()
    kinds = text.unique()
    wrong = [kind for kind in kinds if kind not in _STATES]
    if wrong:
        row = int(np.argmax((text == wrong[0]).to_numpy()))
        raise LabelError(
            f"{named}: {name} holds {wrong[0]!r} in row {row + 1}; expected 1, 0, -1 (uncertain) or blank (unknown)"
        )
    codes, found = pd.factorize(text)
    values = pd.array([_STATES[kind] for kind in found], dtype="Int8")
    return pd.Series(values.take(codes), index=column.index)
