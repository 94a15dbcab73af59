"""CT patches for training: prepared volumes in memory maps against reading or decompressing a volume for every patch.

    python benchmarks/patches.py [--tiny] [--out FILE]

Volumes of 360 x 300 x 200 voxels (an abdomen at 1 x 1 x 2 mm), patches of 128 x 128 x 64, one core. Peers: MONAI's
transforms from .nii.gz (read, window, crop by class) for each patch, and MONAI's PersistentDataset, which reads a whole
prepared volume for each patch. Everything lies in the page cache: on a disk or a network the peers also wait.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import nibabel as nib
import numpy as np
import torch
from measure import Line, benchmark, cpu_seconds, interleaved
from monai.data import PersistentDataset
from torch import Tensor
from windows import CPU, network

from la_medical.training.patches import NOTHING, Draw, Patches
from la_medical.training.prepared_volumes import MappedVolumes, PrepareVolume, windowed
from la_medical.training.trainer import computes_bfloat16

SPACING = (1.0, 1.0, 2.0)


def write(folder: Path, count: int, shape: tuple[int, int, int]) -> list[dict[str, str]]:
    """Noisy volumes (int16 HU) and masks with a ball, as .nii.gz on the working grid."""
    generator = np.random.default_rng(0)
    distance = sum(
        ((np.arange(n) - n / 2) ** 2).reshape(*s) for n, s in zip(shape, ((-1, 1, 1), (-1, 1), (-1,)), strict=True)
    )
    items = []
    for number in range(count):
        hu = generator.normal(40, 20, shape).astype(np.int16)
        files = {"image": folder / f"{number}.nii.gz", "mask": folder / f"{number}_mask.nii.gz"}
        for file, array in zip(files.values(), (hu, (distance < (min(shape) / 8) ** 2).astype(np.uint8)), strict=True):
            nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1])), file)
        items.append({name: str(file) for name, file in files.items()})
    return items


class Prepare(mt.Transform):
    """What the bundle keeps of a case whose files lie on the working grid already."""

    def __call__(self, data: dict[str, str]) -> dict[str, Tensor]:
        hu = torch.from_numpy(np.asarray(nib.load(data["image"]).dataobj)).float()
        mask = torch.from_numpy(np.asarray(nib.load(data["mask"]).dataobj))
        inside = torch.nonzero(mask)[:4096].to(torch.int16)
        positions = torch.zeros((2, 4096, 3), dtype=torch.int16)
        positions[1, : len(inside)] = inside
        counts = torch.tensor([0, len(inside)])
        return {"image": windowed(hu, (-160, 240))[None], "mask": mask, "positions": positions, "counts": counts}


def from_files(items: Sequence[dict[str, str]], size: Sequence[int]) -> Callable[[int], Any]:
    """MONAI's usual chain, a patch at a time."""
    chain = mt.Compose([
        mt.LoadImaged(("image", "mask"), reader="NibabelReader", image_only=True, ensure_channel_first=True),
        mt.ScaleIntensityRanged("image", -160, 240, 0.0, 1.0, clip=True),
        mt.RandCropByPosNegLabeld(("image", "mask"), "mask", spatial_size=size, pos=2, neg=1, num_samples=1,
                                  allow_smaller=True),
    ])  # fmt: skip
    return lambda number: chain(items[number % len(items)])


def ours(volumes: Sequence[Any], size: Sequence[int]) -> Callable[[int], Any]:
    patches = Patches(volumes, [[[1]]] * len(volumes), size=size, outside=2)
    return lambda number: patches[Draw(number, number % len(volumes), NOTHING if number % 3 == 0 else 0, number)]


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    shape, size = ((48, 40, 32), (16, 16, 8)) if tiny else ((360, 300, 200), (128, 128, 64))
    count, few = (8, 2) if tiny else (40, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = write(folder, 2, shape)
        mapped = MappedVolumes(items, Prepare(), cache_dir=folder / "ours")
        whole = PersistentDataset(items, Prepare(), cache_dir=folder / "monai")
        for data in (mapped, whole):
            for row in range(len(items)):
                data[row]
        works = [ours(mapped, size), ours(whole, size), from_files(items, size)]
        repeats = [count, count, few]

        def some(number: int) -> Callable[[], None]:
            return lambda: [works[number](n) for n in range(repeats[number])] and None

        seconds = [s / n for s, n in zip(interleaved([some(n) for n in range(3)], 2), repeats, strict=True)]
        fast, held, slow = (1e3 * s for s in seconds)
        prepared = preparing(folder, (64, 64, 40) if tiny else (512, 512, 300))
        volume_bytes, patch_bytes = 2 * int(np.prod(shape)), 2 * int(np.prod(size))
    return [
        Line("CT patch: mapped volumes against reading .nii.gz with MONAI's transforms", fast, "ms", slow,
             slow / fast, 5.0),
        Line("CT patch: mapped volumes against MONAI's PersistentDataset", fast, "ms", held, held / fast),
        Line("bytes read for a patch, image and mask, against the whole volume's", patch_bytes / 2**20, "MiB",
             volume_bytes / 2**20, volume_bytes / patch_bytes),
        share(tiny, fast / 1e3, size),
        *prepared,
    ]  # fmt: skip


def preparing(folder: Path, shape: tuple[int, int, int]) -> list[Line]:
    """Reading a scan of 0.75 x 0.75 x 1 mm with its mask, resampled to the bundle's 1 x 1 x 2 mm: once a case."""
    generator = np.random.default_rng(1)
    files = {"image": folder / "scan.nii.gz", "mask": folder / "scan_mask.nii.gz"}
    for file, array in zip(
        files.values(), (generator.normal(40, 20, shape).astype(np.int16), np.ones(shape, np.uint8)), strict=True
    ):
        nib.save(nib.Nifti1Image(array, np.diag([0.75, 0.75, 1.0, 1.0])), file)
    item = {name: str(file) for name, file in files.items()}
    item |= {"spacing": SPACING, "window": (-160.0, 240.0), "values": (0, 1), "known": (1,)}
    started = time.process_time()
    case = PrepareVolume()(item)
    taken = time.process_time() - started
    stored = sum(value.nbytes for value in case.values())
    size = files["image"].stat().st_size + files["mask"].stat().st_size
    what = f"preparing a scan of {' x '.join(map(str, shape))} voxels once"
    return [
        Line(what, taken, "CPU s"),
        Line(f"{what}: bytes kept, against its files (noise, which compresses badly)", stored / 2**20, "MiB",
             size / 2**20, size / stored),
    ]  # fmt: skip


def share(tiny: bool, patch_seconds: float, size: Sequence[int]) -> Line:
    """Of a training step (forward and backward of both views of one patch, default network)."""
    net, images = network(tiny).train(), torch.randn(2, 1, *size)

    def step() -> None:
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_bfloat16(CPU)):
            answer = net(images)
        answer.float().square().mean().backward()

    seconds = cpu_seconds(step, 1)
    return Line("share of a CT training step spent cutting patches", 100 * patch_seconds / (patch_seconds + seconds),
                "%", goal=1.0, at_least=False)  # fmt: skip


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
