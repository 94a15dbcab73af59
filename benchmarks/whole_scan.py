"""One CT scan of 512 x 512 x 300 voxels from its file to its prediction file, on the CPU: seconds and peak memory.

    python benchmarks/whole_scan.py [--tiny] [--out FILE]

The CT bundle's default network, grid and windows (SegResNet with 16 filters, 1 x 1 x 2 mm, 128 x 128 x 64), overlap
0.25, K = 3. The scan is drawn and the weights are random, which changes neither time nor memory. Peak memory is that of
the whole process, Python, torch and MONAI included.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import torch
from measure import Line, benchmark, forget_peak, peak_mib
from windows import network, volume

from la_medical.inference.answer_volumes import VolumeAnswers
from la_medical.inference.windows import SlidingWindow
from la_medical.inference.writers import PredictionFolder
from la_medical.labels import LabelSpace
from la_medical.losses.relations import Relations
from la_medical.manifest import from_columns
from la_medical.training.cases import Cases

CLASSES = ["pdac", "cyst", "pannet"]


def drawn(folder: Path, shape: tuple[int, int, int]) -> Path:
    """An ellipse of noise around 0 HU in air, 0.75 x 0.75 x 1 mm."""
    hu = volume(shape).numpy().astype(np.int16)
    hu[hu == 0] = -1000
    path = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([0.75, 0.75, 1.0, 1.0])), path)
    return path


def answering(path: Path, window: tuple[int, int, int]) -> VolumeAnswers:
    """The bundle's way of answering this one file."""
    space = LabelSpace.load("pancreatic_ct").subset(CLASSES)
    manifest = from_columns(pd.DataFrame({"case_id": ["scan"], "image": [path.name]}), root=path.parent, space=space)
    return VolumeAnswers(
        cases=Cases(manifest, [path], space, np.full((1, len(CLASSES)), np.nan, np.float32)),
        folder=PredictionFolder(path.parent / "predictions", space, "nifti"),
        inferer=SlidingWindow(window=window, overlap=0.25, amp=True),
        spacing=(1.0, 1.0, 2.0),
        window=(-160, 240),
        relations=Relations.of(space),
    )


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    shape = (64, 64, 40) if tiny else (512, 512, 300)
    net = copy.deepcopy(network(tiny)).to(memory_format=torch.channels_last_3d)
    with tempfile.TemporaryDirectory() as folder:
        path = drawn(Path(folder), shape)
        update = answering(path, (32, 32, 16) if tiny else (128, 128, 64))
        forget_peak()
        started = time.process_time()
        stored, affine = update.answer(path, net, torch.device("cpu"))
        answered = time.process_time() - started
        update.folder.write("scan", stored, affine, path)
        seconds = time.process_time() - started
    named = " x ".join(map(str, shape))
    return [
        Line(f"a scan of {named} voxels, from file to prediction file, K = 3", seconds, "CPU s",
             note=f"{seconds - answered:.0f} s of it writing"),
        Line("peak memory of the whole process for it", peak_mib() / 1024, "GiB", goal=6.0, at_least=False),
    ]  # fmt: skip


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
