"""Pairs of image and mask in any folders, found by two patterns such as `{case}/ct.nii.gz` and
`{case}/tumour.nii.gz`.

`{case}` stands for one part of a path, `*` for any characters of it. The card, or `--mask-values`, says what
values mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from la_medical.errors import ManifestError
from la_medical.labels.space import LabelSpace, spelling_key
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.image_files import IMAGE_SUFFIXES, VOLUME_SUFFIXES, files_below
from la_medical.manifest.sources.labelled_volumes import volume_manifest
from la_medical.manifest.sources.patient_names import patients_of
from la_medical.manifest.sources.stated_labels import own_space
from la_medical.manifest.table import Manifest


def read(
    root: Path,
    *,
    card: SourceCard | None = None,
    check_files: bool = True,
    image_pattern: str = "images/{case}.nii.gz",
    mask_pattern: str = "masks/{case}.nii.gz",
    mask_values: str | Mapping[int, tuple[str, ...]] | None = None,
    label_space: str | None = None,
    source_name: str | None = None,
    patient_pattern: str | None = None,
) -> Manifest:
    """Read the pairs below `root`; an image without a mask is kept, with unknown labels.

    Args:
        root: folder of both.
        card: of the source; without it one is made from `mask_values`.
        check_files: whether masks are read for their labels.
        image_pattern: path of an image, with `{case}`.
        mask_pattern: path of its mask, with the same `{case}`.
        mask_values: `1=pdac,2=cyst+tumour`: a value and the class, or classes, of its voxels; nothing after `=` for a
            value of no class.
        label_space: packaged name or file; without it (and without one in the card) the classes make one.
        source_name: by default the card's, or the folder's.
        patient_pattern: regular expression whose first group in `{case}` is the patient; by default the whole of it.

    Raises:
        ManifestError: a pattern without `{case}`, no pair, a mask without an image, unreadable masks.
        LabelError: unknown class, or a mask value that nothing explains.
    """
    files = files_below(root, (*VOLUME_SUFFIXES, *IMAGE_SUFFIXES))
    images, masks = _matching(files, image_pattern), _matching(files, mask_pattern)
    if not images:
        raise ManifestError(f"{root}: no file fits --image-pattern {image_pattern!r}")
    lonely = sorted(set(masks) - set(images))
    if lonely:
        raise ManifestError(f"{root}: {len(lonely)} masks have no image, the first is {masks[lonely[0]]}")
    if not masks:
        raise ManifestError(f"{root}: no file fits --mask-pattern {mask_pattern!r}")
    named = source_name or (card.name if card else spelling_key(root.resolve().name) or "image_mask_pairs")
    space, own = _meaning(named, card, mask_values, label_space)
    cases = pd.Series(sorted(images), dtype=str)
    rows = pd.DataFrame(
        {
            "case_id": case_ids(cases),
            "patient_id": cases if patient_pattern is None else patients_of(cases, patient_pattern),
            "image": cases.map(images),
            "mask": cases.map(masks).fillna(""),
        }
    )
    return volume_manifest(rows, root=root, card=own, space=space, check_files=check_files)


def _matching(files: list[str], pattern: str) -> dict[str, str]:
    """Case to file for all files that fit `pattern`."""
    if pattern.count("{case}") < 1:
        raise ManifestError(f"pattern {pattern!r}: write {{case}} where the name of the case stands")
    text = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\{case\}", "(?P<case>[^/]+)", 1)
    compiled = re.compile(text.replace(r"\{case\}", "(?P=case)"))
    found: dict[str, str] = {}
    for name in files:
        if match := compiled.fullmatch(name):
            if match["case"] in found:
                raise ManifestError(f"{found[match['case']]} and {name} both fit {pattern!r} as case {match['case']!r}")
            found[match["case"]] = name
    return found


def _meaning(
    named: str, card: SourceCard | None, given: str | Mapping[int, tuple[str, ...]] | None, label_space: str | None
) -> tuple[LabelSpace, SourceCard]:
    """Label space and card, from a card of the user's own or from the mask values given."""
    values = _parsed(given) if isinstance(given, str) else dict(given or {})
    if not values and card is not None:
        values = dict(card.mask_values)
    if not values:
        raise ManifestError("what do the mask values mean? Give --mask-values 1=pdac,2=cyst or a card with mask_values")
    spellings = list(dict.fromkeys(name for names in values.values() for name in names))
    wanted = label_space or (card.label_space if card else "")
    space = LabelSpace.load(wanted) if wanted else own_space(named, spellings)
    meaning = {value: tuple(space.resolve(name) for name in names) for value, names in values.items()}
    held = {name for names in meaning.values() for name in names}
    base = card or load_card("image_mask_pairs")
    classes = tuple(space.resolve(name) for name in base.classes) or tuple(n for n in space.names if n in held)
    return space, replace(base, name=named, classes=classes, mask_values=meaning, label_space=space.name)


def _parsed(text: str) -> dict[int, tuple[str, ...]]:
    values: dict[int, tuple[str, ...]] = {}
    for part in text.split(","):
        number, equals, names = part.partition("=")
        if not equals or not number.strip().isdecimal() or int(number) == 0:
            raise ManifestError(f"--mask-values {part.strip()!r}: expected a value above 0 and a class, such as 1=pdac")
        if int(number) in values:
            raise ManifestError(f"--mask-values: value {int(number)} twice; join its classes, such as 1=pdac+pancreas")
        values[int(number)] = tuple(name.strip() for name in names.split("+") if name.strip())
    return values
