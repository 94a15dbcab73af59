"""Join manifests into one label space: unknown where a source does not say.

Labels are never changed: uncertain stays uncertain, and what follows from `union_of` and `excludes` is filled in only
when the manifest is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.errors import InputError, LabelError, ManifestError
from la_medical.labels.space import LabelClass, LabelSpace
from la_medical.manifest.card import SourceCard
from la_medical.manifest.table import (
    COLUMNS,
    LABEL_PREFIX,
    Manifest,
    from_columns,
    own_classes,
    paths_leaving_root,
    read_manifest,
)
from la_medical.tables import column_names

ORIGINAL_ID = "original_case_id"
"""Metadata column with the ID a source gave, where two sources gave the same one."""


def read_for_assembly(path: str | Path, space: LabelSpace) -> Manifest:
    """Read a manifest so that classes outside `space` survive until `assemble` decides about them.

    With its JSON it is read in its own label space. A table written by hand is read in `space`, and columns that
    `space` does not know become classes of their own.
    """
    path = Path(path)
    if not path.is_file() or path.with_suffix(".json").is_file():
        return read_manifest(path)
    own = own_classes([name for name in _label_columns(path) if not space.find(name)], path)
    return read_manifest(path, space=LabelSpace(name=space.name, classes=(*space.classes, *own)))


def assemble(
    manifests: Sequence[Manifest],
    space: LabelSpace,
    *,
    drop_unknown: bool = False,
    cards: Sequence[SourceCard] = (),
) -> Manifest:
    """One manifest of all rows, in the classes of `space` that any of them has a column for.

    Args:
        manifests: each with sources of its own.
        space: label space to join them in; spellings are resolved by it.
        drop_unknown: leave out classes that `space` does not have, instead of refusing.
        cards: cards for sources that came without one.

    Returns:
        Rows sorted by `case_id`, paths relative to the folder that all roots have in common. A `case_id` that two
        sources use becomes `<source>-<case_id>` in each of them, and the column `original_case_id` keeps what it was.

    Raises:
        ManifestError: no manifest, a source in two of them, or IDs that stay equal after the prefix.
        LabelError: a class that `space` does not have, or two columns that are one class of it.
    """
    if not manifests:
        raise ManifestError("no manifest to assemble; give one or more")
    parts = [_named_sources(manifest) for manifest in manifests]
    _refuse_repeated_sources(parts)
    root = common_root([part.root for part in parts])
    frames = [_in_space(part, space, drop_unknown, root) for part in parts]
    joined = pd.concat(frames, ignore_index=True)
    fixed = [name for name in joined.columns if not name.startswith(LABEL_PREFIX)]
    joined[fixed] = joined[fixed].fillna("")
    joined = _distinct_ids(joined).sort_values("case_id", kind="stable").reset_index(drop=True)
    metadata = sorted(name for name in joined.columns if name not in COLUMNS and not name.startswith(LABEL_PREFIX))
    labels = [LABEL_PREFIX + name for name in space.names if LABEL_PREFIX + name in joined]
    joined = joined[[*COLUMNS, *metadata, *labels]]
    absolute = any(len(paths_leaving_root(part.table[column])) for part in parts for column in ("image", "mask"))
    assembled = from_columns(
        joined, root=root, space=space, cards=_merged_cards(parts, cards, joined, space), allow_absolute=absolute
    )
    return replace(assembled, policy=_common_policy(parts))


def derived_sources(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Pairs of sources of this manifest that may hold the same images: (source, other source, what is known).

    A source derived from another one that is here too, or two sources derived from a third.
    """
    here = sorted(manifest.table["source"].unique())
    cards = manifest.cards
    found = []
    for first in here:
        origins = cards[first].derived_from if first in cards else {}
        found += [(first, other, origins[other] or "derived from it") for other in here if other in origins]
        for second in here:
            if second <= first or second not in cards:
                continue
            shared = sorted(set(origins) & set(cards[second].derived_from) - {first, second})
            if shared and second not in origins and first not in cards[second].derived_from:
                found.append((first, second, f"both hold images of {', '.join(shared)}"))
    return found


def assembly_lines(assembled: Manifest) -> list[str]:
    """What to print after assembling: cases a source, the classes it knows, renamed cases, related sources."""
    table = assembled.table
    known = assembled.table[[LABEL_PREFIX + name for name in assembled.classes]].notna()
    lines = []
    for source, rows in table.groupby("source", sort=True).groups.items():
        classes = [name for name in assembled.classes if known.loc[rows, LABEL_PREFIX + name].any()]
        lines.append(f"{source}: {len(rows)} cases, knows {', '.join(classes) or 'no class'}")
    if ORIGINAL_ID in table and (table[ORIGINAL_ID] != "").any():
        renamed = int((table[ORIGINAL_ID] != "").sum())
        lines.append(f"{renamed} cases whose case_id two sources use got their source in front, see {ORIGINAL_ID}")
    for one, other, why in derived_sources(assembled):
        lines.append(f"warning: {one} and {other} may hold the same images ({why}); split with --pixels and audit")
    return lines


def path_columns(columns: Iterable[str]) -> list[str]:
    """`image`, `mask`, and further channels of the image: `image_0001` and on."""
    return [name for name in columns if name in ("image", "mask") or re.fullmatch(r"image_\d{4}", name)]


def common_root(roots: Sequence[Path]) -> Path:
    """The deepest folder that holds all `roots`."""
    absolute = [os.path.abspath(root) for root in roots]  # noqa: PTH100  links stay links, unlike with resolve()
    try:
        return Path(os.path.commonpath(absolute))
    except ValueError as error:  # two drives
        raise ManifestError(f"roots {absolute[0]} and {absolute[-1]} have no folder in common") from error


def _label_columns(path: Path) -> list[str]:
    """Classes named in the head of a table; none where it cannot be read, which `read_manifest` then says."""
    try:
        columns = column_names(path)
    except InputError:
        return []
    return [name.removeprefix(LABEL_PREFIX) for name in columns if name.startswith(LABEL_PREFIX)]


def _named_sources(manifest: Manifest) -> Manifest:
    """Rows that name no source belong to the one their file is named after."""
    blank = manifest.table["source"] == ""
    if not blank.any():
        return manifest
    if manifest.path is None:
        raise ManifestError(f"{int(blank.sum())} rows name no source; fill the column source")
    return replace(
        manifest, table=manifest.table.assign(source=manifest.table["source"].mask(blank, manifest.path.stem))
    )


def _refuse_repeated_sources(parts: Sequence[Manifest]) -> None:
    seen: dict[str, Manifest] = {}
    for part in parts:
        for source in sorted(part.table["source"].unique()):
            if source in seen:
                raise ManifestError(
                    f"source {source!r} is in {seen[source].named} and in {part.named}; give each source once, "
                    "or name them apart in the column source"
                )
            seen[source] = part


def _in_space(part: Manifest, space: LabelSpace, drop_unknown: bool, root: Path) -> pd.DataFrame:
    """The part's table with the label columns of `space` and with paths below `root`."""
    into: dict[str, str] = {}
    for label in part.space.classes:
        name = _find(label, space)
        if name is None:
            if not drop_unknown:
                raise LabelError(_unknown_class(part, label.name, space))
            continue
        if name in into.values():
            raise LabelError(f"{part.named}: two columns hold the class {name!r} of {space.name}; keep one")
        into[label.name] = name
    dropped = [LABEL_PREFIX + name for name in part.classes if name not in into]
    table = part.table.drop(columns=dropped)
    table = table.rename(columns={LABEL_PREFIX + old: LABEL_PREFIX + new for old, new in into.items()})
    prefix = os.path.relpath(os.path.abspath(part.root), root).replace(os.sep, "/")  # noqa: PTH100
    if prefix != ".":
        for column in path_columns(table.columns):
            table[column] = _below(table[column], prefix)
    return table


def _find(label: LabelClass, space: LabelSpace) -> str | None:
    """The class of `space` that `label` is, by its name or else by one of its spellings."""
    for spelling in (label.name, label.display, *label.synonyms):
        name = space.find(spelling) if spelling else None
        if name:
            return name
    return None


def _unknown_class(part: Manifest, name: str, space: LabelSpace) -> str:
    near = space.nearest(name)
    hint = f"did you mean {near!r}?" if near else f"its classes are: {', '.join(space.names)}"
    return f"{part.named}: class {name!r} is not in label space {space.name}; {hint} (--drop-unknown leaves it out)"


def _below(paths: pd.Series, prefix: str) -> pd.Series:
    stays = (paths == "") | paths.str.match(r"[/\\]|[A-Za-z]:")
    return paths.where(stays, prefix + "/" + paths)


def _distinct_ids(joined: pd.DataFrame) -> pd.DataFrame:
    shared = joined["case_id"].duplicated(keep=False)
    if not shared.any():
        return joined
    source = joined["source"].str.replace(r"[^A-Za-z0-9._-]+", "_", regex=True)
    renamed = joined["case_id"].mask(shared, source + "-" + joined["case_id"])
    if renamed.duplicated().any():
        first = renamed[renamed.duplicated()].iloc[0]
        raise ManifestError(
            f"case_id {first!r} comes twice even with its source in front; rename the cases of one source"
        )
    before = joined[ORIGINAL_ID] if ORIGINAL_ID in joined else pd.Series("", index=joined.index, dtype=str)
    return joined.assign(**{"case_id": renamed, ORIGINAL_ID: before.mask(shared & (before == ""), joined["case_id"])})


def _merged_cards(
    parts: Sequence[Manifest], extra: Sequence[SourceCard], joined: pd.DataFrame, space: LabelSpace
) -> dict[str, SourceCard]:
    cards = {card.name: card for card in extra}
    for part in parts:
        cards.update(part.cards)
    here = set(joined["source"].unique())
    return {name: _card_in_space(cards[name], space) for name in sorted(cards) if name in here}


def _card_in_space(card: SourceCard, space: LabelSpace) -> SourceCard:
    """The card with class names of `space`; a mask value of a class that was left out stays, as a value of no class."""
    return replace(
        card,
        label_space=space.name if card.label_space else "",
        classes=_names_in(card.classes, space),
        mask_values={value: _names_in(names, space) for value, names in card.mask_values.items()},
    )


def _names_in(names: Sequence[str], space: LabelSpace) -> tuple[str, ...]:
    found = (space.find(name) for name in names)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _common_policy(parts: Sequence[Manifest]) -> dict[str, object]:
    """The policy for uncertain labels if all parts that state one state the same; none otherwise."""
    stated = [dict(part.policy) for part in parts if part.policy]
    return stated[0] if stated and all(policy == stated[0] for policy in stated) else {}
