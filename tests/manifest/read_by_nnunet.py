"""Run by a test in a process of its own: nnU-Net reads exported datasets with its own code.

nnU-Net takes its folders from the environment when it is imported, and prints what it finds wrong.
`python -m tests.manifest.read_by_nnunet FOLDER...` prints one line of JSON: what it read of each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch


def read(folder: str) -> dict[str, Any]:
    """What nnU-Net makes of one dataset; raises what its own checks raise."""
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import LabelManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    with patch.object(multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool)):
        verify_dataset_integrity(folder, 1)  # its checks in a thread: a process imports torch anew for each data set
    about = json.loads((Path(folder) / "dataset.json").read_text(encoding="utf-8"))
    files = get_filenames_of_train_images_and_targets(folder, about)
    labels = LabelManager(about["labels"], about.get("regions_class_order"))
    splits = json.loads((Path(folder) / "splits_final.json").read_text(encoding="utf-8"))
    dealt = []
    for fold in range(len(splits)):  # the trainer's own reading of the file, without a trainer
        trainer = SimpleNamespace(
            fold=fold,
            preprocessed_dataset_folder_base=folder,
            preprocessed_dataset_folder=folder,
            folder_with_segs_from_previous_stage=None,
            print_to_log_file=lambda *said: None,
            dataset_class=lambda *_, **__: SimpleNamespace(identifiers=sorted(files)),
        )
        train, val = nnUNetTrainer.do_split(trainer)
        dealt.append({"train": sorted(train), "val": sorted(val)})
    return {
        "cases": sorted(files),
        "images": {case: len(found["images"]) for case, found in files.items()},
        "regions": bool(labels.has_regions),
        "heads": int(labels.num_segmentation_heads),
        "ignore": labels.ignore_label,
        "all_labels": [int(label) for label in labels.all_labels],
        "folds": dealt,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ[name] = scratch
        print(json.dumps([read(folder) for folder in sys.argv[1:]]))


if __name__ == "__main__":
    main()
