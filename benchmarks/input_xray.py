"""X-ray input: packed images and batch views against Pillow and per-image MONAI transforms, on one core.

    python benchmarks/input_xray.py [--tiny] [--out FILE]

Drawn chest X-rays of 1024 x 1024 pixels (PNG, as ChestX-ray14 publishes them) are given as a weak and a strong view at
224 x 224. The peers do per image what the batch does at once: the same rotations, zooms, gammas, noise and erased
squares by MONAI's transforms; once from the files, once from MONAI's CacheDataset that keeps decoded images in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import torch
from measure import Line, benchmark, interleaved
from monai.data import CacheDataset, DataLoader, Dataset
from PIL import Image
from step import CPU, network, states
from torch import nn

from la_medical.networks import classifier
from la_medical.training.data import PackedXrays, training_loader
from la_medical.training.packed_images import packed_images
from la_medical.training.trainer import computes_bfloat16
from la_medical.training.views import RandomAffine, RandomContrast, RandomErase, RandomNoise, XrayViews

BATCH = 32


def drawn(folder: Path, count: int, side: int) -> list[Path]:
    """Pictures with the smooth shapes and the grain of an X-ray, so that PNG compresses them as it does those."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    files = []
    for number in range(count):
        a, b = generator.uniform(0.2, 0.4, 2)
        lungs = np.exp(-(((x - 0.3) / a) ** 2 + ((y - 0.5) / b) ** 2) * 4) + np.exp(-(((x - 0.7) / b) ** 2) * 8)
        grey = 200 - 90 * lungs + generator.normal(0, 4, (side, side))
        files.append(folder / f"{number:04d}.png")
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(files[-1])
    return files


def our_views() -> XrayViews:
    return XrayViews(
        weak=[RandomAffine(7.0, 0.05, 0.04)],
        strong=[RandomAffine(15.0, 0.15, 0.08), RandomContrast(1.5, 0.1), RandomNoise(0.05), RandomErase(0.4)],
        seed=0,
    )


def affine(key: str, degrees: float, zoom: float, shift: float, size: int) -> mt.Transform:
    return mt.RandAffined(
        key, prob=1.0, rotate_range=degrees * np.pi / 180, scale_range=zoom, translate_range=shift * size,
        padding_mode="border", mode="bilinear",
    )  # fmt: skip


def read(size: int) -> list[mt.Transform]:
    """From a file to (1, size, size), 0..1."""
    return [
        mt.LoadImaged("weak", reader="PILReader", image_only=True, ensure_channel_first=True),
        mt.Resized("weak", (size, size), anti_aliasing=True),
        mt.ScaleIntensityd("weak"),
    ]


def per_image(size: int) -> list[mt.Transform]:
    """Both views of one image, drawn like ours."""
    return [
        mt.CopyItemsd("weak", names="strong"),
        affine("weak", 7.0, 0.05, 0.04, size),
        affine("strong", 15.0, 0.15, 0.08, size),
        mt.RandAdjustContrastd("strong", prob=1.0, gamma=(0.67, 1.5)),
        mt.RandShiftIntensityd("strong", prob=1.0, offsets=0.1),
        mt.RandGaussianNoised("strong", prob=1.0, std=0.05),
        mt.RandCoarseDropoutd("strong", holes=1, spatial_size=8, max_spatial_size=int(0.4 * size), prob=1.0,
                              fill_value=0.5),
    ]  # fmt: skip


def passed(loader: Iterable[Any]) -> None:
    for _ in loader:
        pass


def ours(data: PackedXrays) -> Iterable[Any]:
    """Our batches with both views made."""
    views = our_views()
    for batch in training_loader(data, batch_size=BATCH, seed=0):
        yield views(batch["image"], batch["label"], cases=batch["case"], epoch=1)


def speed_lines(tiny: bool, folder: Path) -> tuple[list[Line], PackedXrays]:
    size, count = (32, 8) if tiny else (224, 64)
    files = drawn(folder, count, 64 if tiny else 1024)
    started = time.process_time()
    packed = packed_images(files, size=size, folder=folder / "cache", threads=1)
    packing = time.process_time() - started
    data = PackedXrays(packed, states(count, 14).numpy())
    items = [{"weak": str(file), "label": torch.zeros(14)} for file in files]
    transforms = mt.Compose([*read(size), *per_image(size)])
    from_files = DataLoader(Dataset(items, transforms), batch_size=BATCH, shuffle=True)
    cached = CacheDataset(items, transforms, num_workers=0, progress=False)
    from_memory = DataLoader(cached, batch_size=BATCH, shuffle=True)
    only = training_loader(data, batch_size=BATCH, seed=0)
    rounds = 1 if tiny else 2
    fast, slow, held, bare = interleaved(
        [lambda: passed(ours(data)), lambda: passed(from_files), lambda: passed(from_memory), lambda: passed(only)],
        rounds,
    )  # fmt: skip
    rate, what = (lambda seconds: count / seconds), "images a second with both views, one core"
    lines = [
        Line(f"{what}: packed against Pillow + MONAI per image", rate(fast), "images/s", rate(slow), slow / fast, 5.0),
        Line(f"{what}: packed against MONAI CacheDataset", rate(fast), "images/s", rate(held), held / fast),
        Line("packed batches alone, without views", rate(bare), "images/s"),
        Line("packing once (decode, resize), one core", rate(packing), "images/s"),
        Line("bytes of a packed image against its file", packed[0].nbytes, "bytes", files[0].stat().st_size,
             files[0].stat().st_size / packed[0].nbytes),
    ]  # fmt: skip
    return lines, data


def share(net: nn.Module, data: PackedXrays, what: str) -> list[Line]:
    """Of an epoch's CPU seconds: reading batches, and making both views."""
    amp, views = computes_bfloat16(CPU), our_views()
    waited = viewed = 0.0
    began = mark = time.process_time()
    for batch in training_loader(data, batch_size=BATCH, seed=0):
        waited += time.process_time() - mark
        mark = time.process_time()
        weak, strong, _ = views(batch["image"], batch["label"], cases=batch["case"], epoch=1)
        viewed += time.process_time() - mark
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            answer = net(torch.cat([weak, strong]))
        answer.float().square().mean().backward()
        mark = time.process_time()
    whole = time.process_time() - began
    return [
        Line(f"share of a training step spent waiting for data, {what}", 100 * waited / whole, "%", goal=1.0,
             at_least=False),
        Line(f"share of a training step spent making views, {what}", 100 * viewed / whole, "%"),
    ]  # fmt: skip


def small(data: PackedXrays) -> list[Line]:
    """The small preset: 96 x 96, a network of 0.1 million weights."""
    options = {"init_features": 32, "growth_rate": 16, "block_config": [2, 2, 2, 2]}
    net = classifier.build("densenet", num_classes=14, options=options).to(memory_format=torch.channels_last)
    cut = PackedXrays(np.ascontiguousarray(data.images[:, :, :96, :96]), data.targets)
    share(net, cut, "")
    return share(net, cut, "small preset")


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        lines, data = speed_lines(tiny, Path(folder))
        net, _, _ = network(tiny)
        lines += share(net, data, "DenseNet121 at 224")
        return lines + small(data)


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
