"""On a GPU: throughput of training against bare forward and backward, share of the card's peak, memory, whole volumes.

    python benchmarks/gpu.py [--peak-tflops 989] [--out FILE]
    python benchmarks/gpu.py --tiny           tiny sizes, on the CPU if need be: shows that it runs

`--peak-tflops` is the card's dense bf16 peak as its maker states it (H100 SXM 989, A100 312, L4 121); without it the
share of the peak is left out. Bare: the same network in the same format and precision, on random data that lies on the
device already, forward, backward and optimiser. CUDA graphs: `torch.compile(mode="reduce-overhead")` of that step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from measure import Line, write_lines
from step import states
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from la_medical.inference.windows import SlidingWindow
from la_medical.labels import LabelSpace
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier, segmenter
from la_medical.training.ct_views import ct_views
from la_medical.training.network import placed
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate, optimiser
from la_medical.training.views import RandomAffine, RandomContrast, RandomErase, RandomNoise, XrayViews
from la_medical.training.voxel_training import VoxelUpdate, voxel_loss

CT_CLASSES = ("pdac", "cyst", "pannet", "pancreas")


def seconds(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Wall seconds of one call, over `rounds` calls between two synchronisations, after three that warm up."""
    for _ in range(3):
        work()
    _wait(device)
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    _wait(device)
    return (time.perf_counter() - started) / rounds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gib(device: torch.device) -> float:
    if device.type != "cuda":
        return 0.0
    used = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return used


class Bare:
    """Forward, backward and optimiser of a network on images that lie on the device."""

    def __init__(self, net: nn.Module, images: Tensor) -> None:
        self.net, self.images = net.train(), images
        self.optimizer = optimiser(network=net, learning_rate=1e-4, device=images.device)

    def forward(self) -> Tensor:
        with torch.autocast(self.images.device.type, torch.bfloat16):
            answer: Tensor = self.net(self.images)
        return answer.float().square().mean()

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.forward().backward()
        self.optimizer.step()

    def flops(self) -> float:
        """Floating-point operations of a forward and backward (multiply-adds count twice)."""
        with FlopCounterMode(display=False) as counter:
            self.forward().backward()
        return float(counter.get_total_flops())


def engine_of(net: nn.Module, loss: nn.Module, device: torch.device) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(device=device, epoch=1), network=net, loss_function=loss.to(device),
        optimizer=optimiser(network=net, learning_rate=1e-4, device=device), inferer=AutocastInferer(True),
    )  # fmt: skip


def training_lines(
    name: str, net: nn.Module, update: Callable[[], Any], images: Tensor, cases: int, peak: float | None, tiny: bool
) -> list[Line]:
    """Our whole step against the bare one on as many images (both views), its share of the peak, and CUDA graphs."""
    device, rounds = images.device, 1 if tiny else 20
    bare = Bare(net, images)
    peak_gib(device)
    slow = seconds(bare, device, rounds)
    bare_gib = peak_gib(device)
    ours = seconds(update, device, rounds)
    lines = [
        Line(f"{name}: cases a second, the bundle's whole step against bare forward, backward, optimiser",
             cases / ours, "cases/s", cases / slow, slow / ours, 0.9),
        Line(f"{name}: memory of the step", peak_gib(device), "GiB", bare_gib),
    ]  # fmt: skip
    if peak:
        share = bare.flops() / ours / (peak * 1e12)
        lines.append(Line(f"{name}: share of the card's bf16 peak", 100 * share, "%"))
    if device.type == "cuda":
        bare.net = torch.compile(net, mode="reduce-overhead")
        graphs = seconds(bare, device, rounds)
        what = f"{name}: bare step compiled with CUDA graphs against without"
        lines.append(Line(what, cases / graphs, "cases/s", cases / slow, slow / graphs))
    return lines


def xray(device: torch.device, peak: float | None, tiny: bool) -> list[Line]:
    """DenseNet121 at 224, 14 classes; batches are copied from the host inside the step, as in training."""
    size, cases = (32, 4) if tiny else (224, 64)
    net = placed(classifier.build("densenet121", num_classes=14), device)
    views = XrayViews(
        weak=[RandomAffine(7.0, 0.05, 0.04)],
        strong=[RandomAffine(15.0, 0.15, 0.08), RandomContrast(1.5, 0.1), RandomNoise(0.05), RandomErase(0.4)],
        seed=0,
    )
    engine, update = engine_of(net, LabelAssembleLoss(), device), LabelAssembleUpdate(views=views)
    image = torch.randint(0, 255, (cases, 1, size, size), dtype=torch.uint8)
    image = image.pin_memory() if device.type == "cuda" else image
    batch = {"image": image, "label": states(cases, 14), "case": torch.arange(cases)}
    images = torch.randn(2 * cases, 1, size, size, device=device)
    name = f"DenseNet121 at {size}, {cases} cases"
    return training_lines(name, net, lambda: update(engine, batch), images, cases, peak, tiny)


def ct(device: torch.device, side: int, peak: float | None, tiny: bool) -> list[Line]:
    """SegResNet on patches of side^3, 2 cases, the CT bundle's loss."""
    torch.manual_seed(0)
    net = placed(segmenter.build("segresnet", num_classes=len(CT_CLASSES), options=segresnet(tiny)), device)
    tables = np.zeros((2, 4, len(CT_CLASSES)), dtype=np.float32)
    tables[:, -1] = np.nan
    tables[:, 1:3, :2] = np.eye(2, dtype=np.float32)
    space = LabelSpace.load("pancreatic_ct").subset(CT_CLASSES)
    engine = engine_of(net, voxel_loss(space=space, device=device), device)
    update = VoxelUpdate(views=ct_views(tables=tables, seed=0), amp=True)
    batch = {
        "image": torch.randint(0, 255, (2, 1, side, side, side), dtype=torch.uint8),
        "label": torch.randint(0, 3, (2, side, side, side), dtype=torch.uint8),
        "case": torch.arange(2),
    }
    images = torch.randn(4, 1, side, side, side, device=device)
    name = f"SegResNet at {side}^3, 2 cases"
    return training_lines(name, net, lambda: update(engine, batch), images, 2, peak, tiny)


def segresnet(tiny: bool) -> dict[str, Any]:
    return {"init_filters": 8 if tiny else 16, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]}


def whole_volume(device: torch.device, tiny: bool) -> list[Line]:
    """Every window of a volume of 512 x 512 x 300, answers on the CPU as the writer takes them."""
    shape, window = ((48, 48, 32), (16, 16, 16)) if tiny else ((512, 512, 300), (128, 128, 64))
    net = placed(segmenter.build("segresnet", num_classes=3, options=segresnet(tiny)), device, answering=True).eval()
    inferer = SlidingWindow(window=window, overlap=0.5, amp=True, body_only=False, batch=1 if tiny else 4)
    grey = torch.randint(1, 255, shape, dtype=torch.uint8)
    peak_gib(device)
    started = time.perf_counter()
    for _ in inferer.slabs(grey, net, device):
        pass
    _wait(device)
    taken = time.perf_counter() - started
    name = f"sliding window, {' x '.join(map(str, shape))}, half overlap"
    return [Line(name, taken, "s"), Line(f"{name}: memory on the device", peak_gib(device), "GiB")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.tiny:
        raise SystemExit("no GPU here: nothing was measured; --tiny shows on the CPU that this runs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak, tiny = arguments.peak_tflops, arguments.tiny
    lines = xray(device, peak, tiny)
    for side in (16,) if tiny else (96, 128):
        lines += ct(device, side, peak, tiny)
    lines += whole_volume(device, tiny)
    for line in lines:
        print(line.text(), flush=True)
    if arguments.out:
        write_lines(arguments.out, lines)


if __name__ == "__main__":
    main()
