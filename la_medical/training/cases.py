"""The cases of a run: rows of a manifest, their files, their targets, checked before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from la_medical.artifacts import sha256_of
from la_medical.errors import ManifestError
from la_medical.labels import LabelSpace, UncertainPolicy
from la_medical.manifest import Manifest, read_manifest
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.targets import (
    ClassCounts,
    Targets,
    count_classes,
    learned_space,
    require_known,
    targets_for,
    uncertain_policy,
)
from la_medical.training.values import file, names, optional_path

logger = logging.getLogger(__name__)

MAKE_MANIFEST = "give --manifest FILE, a table that `la-medical manifest`, `assemble` or your own hand made"


@dataclass(frozen=True)
class Cases:
    """N rows of one use: their manifest, image files and targets (N, K) in the order of `space`."""

    rows: Manifest
    files: list[Path]
    space: LabelSpace
    targets: Targets

    def __len__(self) -> int:
        return len(self.files)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.space.names

    @property
    def case_ids(self) -> list[str]:
        """The N case ids."""
        return list(self.rows.table["case_id"])

    @property
    def sources(self) -> list[str]:
        """The source of each case, blank where the table names none."""
        return list(self.rows.table["source"])

    @property
    def counts(self) -> list[ClassCounts]:
        """How each class is known."""
        return count_classes(self.targets, self.classes, self.sources)

    def items(self) -> list[dict[str, Any]]:
        """One dictionary a case for a MONAI data set: `image`, `label` (K,), `case` (its position), `case_id`."""
        rows = zip(self.files, self.targets, self.case_ids, strict=True)
        return [
            {"image": str(image), "label": label, "case": position, "case_id": case_id}
            for position, (image, label, case_id) in enumerate(rows)
        ]


@dataclass(frozen=True)
class TrainingCases:
    """The cases to learn from and the cases to validate on, with the facts of their manifest."""

    train: Cases
    val: Cases
    policy: UncertainPolicy

    @property
    def space(self) -> LabelSpace:
        """The classes that are learned, in the order of the answers."""
        return self.train.space

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are learned."""
        return self.space.names

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint tells of its data: manifest, sources, and how each class was learned."""
        manifest = self.train.rows
        sources = {
            name: manifest.cards[name].to_dict() if name in manifest.cards else {}
            for name in sorted(set(self.train.sources) - {""})
        }
        return {
            "manifest": {
                "file": manifest.path.name if manifest.path else "",
                "sha256": sha256_of(manifest.path) if manifest.path else "",
                "cases": {"train": len(self.train), "val": len(self.val)},
            },
            "sources": sources,
            "classes": {count.name: count.to_dict() for count in self.train.counts},
            "uncertain": {"default": self.policy.default, **self.policy.per_class},
            "phantom": any(card.phantom for name, card in manifest.cards.items() if name in sources),
        }


@stops_on_bad_input
def training_cases(
    *,
    manifest: Any,
    dataset_dir: Any = None,
    classes: Any = None,
    uncertain: Any = "ignore",
    split: Any = "train",
    val_split: Any = "val",
    space: LabelSpace | None = None,
) -> TrainingCases:
    """Read the rows to train and to validate on; exit code 2 where they cannot be used.

    Args:
        manifest: path of the table.
        dataset_dir: folder that image paths are relative to; None for the manifest's own.
        classes: names in any spelling; None for every class with a known label to train on.
        uncertain: policy for uncertain labels, see `uncertain_policy`.
        split: split to train on.
        val_split: split that early stopping, the learning rate and the choice of the best epoch look at.
        space: classes and order of a checkpoint that training starts from, instead of `classes`.
    """
    policy = uncertain_policy(uncertain)
    whole = _read(manifest, dataset_dir)
    rows = _split(whole, names("split", split) or ("train",), "to train on")
    val_rows = _split(whole, names("val_split", val_split) or ("val",), "to validate on")
    chosen = learned_space(rows, names("classes", classes), policy) if space is None else space
    train, val = _cases(rows, chosen, policy, dataset_dir), _cases(val_rows, chosen, policy, dataset_dir)
    require_known(train.counts, named=whole.named, split="train")
    require_known(val.counts, named=whole.named, split="val")
    logger.info("%d cases to train on, %d to validate on, %d classes", len(train), len(val), len(chosen))
    for count in train.counts:
        logger.info("train, %s", count)
    return TrainingCases(train, val, policy)


@stops_on_bad_input
def answered_cases(
    *,
    manifest: Any,
    space: LabelSpace,
    dataset_dir: Any = None,
    uncertain: Any = "ignore",
    split: Any = None,
    labelled: bool = False,
    missing_later: bool = False,
) -> Cases:
    """Read the rows to answer; exit code 2 where they cannot be used.

    Args:
        manifest: path of the table; `case_id,image` are enough unless `labelled`.
        space: the classes that the checkpoint answers.
        dataset_dir: folder that image paths are relative to; None for the manifest's own.
        uncertain: policy for uncertain labels.
        split: one or several splits, or None for every row.
        labelled: whether some label must be known, as for an evaluation.
        missing_later: an image that is not there is told when its turn comes, and does not stop the others; if none is
            there, the folder is wrong, and that is told at once.
    """
    whole = _read(manifest, dataset_dir)
    splits = names("split", split)
    rows = whole if splits is None else _split(whole, splits, "to answer")
    states = uncertain_policy(uncertain)
    cases = _cases(rows, space, states, dataset_dir, stated_only=True, missing_later=missing_later)
    if labelled:
        require_known(cases.counts, named=whole.named, split=" or ".join(splits or ("any",)))
    logger.info("%d cases to answer, %d classes: %s", len(cases), len(space), ", ".join(space.names))
    return cases


def _read(manifest: Any, dataset_dir: Any) -> Manifest:
    return read_manifest(file("manifest", manifest, hint=MAKE_MANIFEST), root=optional_path(dataset_dir))


def _split(manifest: Manifest, splits: Sequence[str], purpose: str) -> Manifest:
    try:
        return manifest.rows(list(splits))
    except ManifestError as error:
        if list(splits) == ["all"]:
            raise ManifestError(
                f"{manifest.named}: no row {purpose}, none has split all; give several as --split train,val,test, or "
                "leave --split out of inference, which then answers every row"
            ) from error
        counts = manifest.table["split"].replace("", "(blank)").value_counts().to_dict()
        raise ManifestError(
            f"{manifest.named}: no row {purpose}, none has split {' or '.join(splits)} (rows a split: {counts}); make "
            "splits by patient with `la-medical split TABLE --val 0.1 --test 0.2 --seed 0 --out TABLE`"
        ) from error


def _cases(
    rows: Manifest,
    space: LabelSpace,
    policy: UncertainPolicy,
    dataset_dir: Any,
    *,
    stated_only: bool = False,
    missing_later: bool = False,
) -> Cases:
    files = [path for path in rows.file_paths("image", optional_path(dataset_dir)) if path is not None]
    if len(files) < len(rows):
        row = int(np.argmax((rows.table["image"] == "").to_numpy()))
        raise ManifestError(f"{rows.named}: case {rows.table['case_id'][row]!r} has no image; remove the row")
    missing = [path for path in files if not path.exists()]  # a DICOM series is a folder
    if missing and not (missing_later and len(missing) < len(files)):
        raise ManifestError(
            f"{rows.named}: {len(missing)} of {len(files)} images are missing, first {missing[0]}; give "
            "--dataset_dir FOLDER if they lie elsewhere"
        )
    return Cases(rows, files, space, targets_for(rows, space.names, policy, stated_only=stated_only))
