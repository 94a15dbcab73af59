"""Answering a CT volume on the CPU: our windows against MONAI's SlidingWindowInferer with the same network.

    python benchmarks/windows.py [--tiny] [--out FILE]

The CT bundle's default network (SegResNet, 16 filters, K = 3), windows of 128 x 128 x 64 with half overlap, on a volume
with a body in air: an ellipse as wide as in an abdominal CT. Both answer the same windows' weights; what ours leaves
out are windows in air, and copies. Weights are random: they change neither time nor memory.
"""

from __future__ import annotations

import copy
import time

import torch
from measure import Line, benchmark, forget_peak, peak_mib
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from la_medical.inference.windows import SlidingWindow
from la_medical.networks import segmenter
from la_medical.training.prepared_volumes import network_input
from la_medical.training.trainer import computes_bfloat16

CPU = torch.device("cpu")
CLASSES = 3


def volume(shape: tuple[int, int, int]) -> Tensor:
    """uint8 (X, Y, Z): noise inside an ellipse of 88% of the width and 62% of the depth, 0 in the air around it."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.linspace(-1, 1, n) for n in shape[:2])
    body = (x[:, None] / 0.88) ** 2 + (y[None] / 0.62) ** 2 < 1
    grey = torch.randint(60, 200, shape, dtype=torch.uint8, generator=generator)
    return grey * body[:, :, None].to(torch.uint8)


def network(tiny: bool) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_filters": 8 if tiny else 16, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]}
    return segmenter.build("segresnet", num_classes=CLASSES, options=options).eval()


def ours(grey: Tensor, net: nn.Module, window: tuple[int, int, int], amp: bool, body_only: bool = True) -> Tensor:
    """Logits (K, X, Y, Z) in float16; planes leave the window buffer as they are finished."""
    inferer = SlidingWindow(window=window, overlap=0.5, amp=amp, body_only=body_only)
    answer = torch.empty((CLASSES, *grey.shape), dtype=torch.float16)
    for first, planes in inferer.slabs(grey, net, CPU):
        answer[..., first : first + planes.shape[-1]] = planes
    return answer


def monais(grey: Tensor, net: nn.Module, window: tuple[int, int, int], amp: bool) -> Tensor:
    """MONAI's inferer as its bundles configure it: Gaussian weights, half overlap, one window a forward."""
    inferer = SlidingWindowInferer(window, sw_batch_size=1, overlap=0.5, mode="gaussian")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
        answer: Tensor = inferer(network_input(grey)[None, None], net)
    return answer[0]


def timed(work, *arguments) -> tuple[float, float, Tensor]:
    """CPU seconds, MiB above what was resident before, and the answer."""
    forget_peak()
    before, started = peak_mib(), time.process_time()
    answer = work(*arguments)
    return time.process_time() - started, peak_mib() - before, answer


def differing(a: Tensor, b: Tensor) -> float:
    """Largest difference of probabilities where both answered."""
    seen = a > -29
    return float((a.float().sigmoid() - b.float().sigmoid())[seen].abs().max())


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    window = (32, 32, 16) if tiny else (128, 128, 64)
    grey = volume((96, 96, 32) if tiny else (256, 256, 64))
    amp, net = computes_bfloat16(CPU), network(tiny)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last_3d) if amp else net
    small = grey[: window[0], : window[1], : window[2]]
    for warm in (net, last):
        ours(small, warm, window, amp)
    works = [(ours, last, ()), (ours, net, (False,)), (monais, net, ())]
    rounds = [[timed(work, grey, used, window, amp, *more) for work, used, more in works] for _ in range(2)]
    fast, same, slow = (min(found[number][0] for found in rounds) for number in range(3))
    whole, expected = rounds[0][1][2], rounds[0][2][2]
    lines = [
        Line("one volume, CPU s: the bundle's path against MONAI's inferer, both in bfloat16", fast, "s", slow,
             slow / fast, 1.0, note="windows in air left out, channels_last_3d"),
        Line("the same without leaving windows out and without channels_last", same, "s", slow, slow / same),
        Line("largest difference of probabilities to MONAI's, all windows, bfloat16", differing(whole, expected),
             "", goal=0.02, at_least=False),
    ]  # fmt: skip
    return lines + stitching(tiny, window) + narrowed(grey, last, window, amp, fast) + exactness(net, last, window, amp)


def stitching(tiny: bool, window: tuple[int, int, int]) -> list[Line]:
    """What is not the network: cutting windows, weighting and adding them up, on a whole scan, float32."""
    grey = volume((96, 96, 48) if tiny else (512, 512, 300))
    cheap = nn.Conv3d(1, CLASSES, 1).eval()
    slow, slow_mib, _ = timed(monais, grey, cheap, window, False)
    fast, fast_mib, _ = timed(ours, grey, cheap, window, False)
    return [
        Line(f"cutting and stitching windows of {' x '.join(map(str, grey.shape))} voxels, a network of one "
             "convolution", fast, "s", slow, slow / fast, note="a fiftieth of what the bundle's network takes"),
        Line("memory of the same above the volume, answer included", fast_mib, "MiB", slow_mib,
             slow_mib / max(fast_mib, 1), 1.0),
    ]  # fmt: skip


def narrowed(grey: Tensor, net: nn.Module, window: tuple[int, int, int], amp: bool, whole: float) -> list[Line]:
    """Coarse to fine: windows only in the box around an organ (a third of each side), after a pass at a third of the
    resolution."""
    third = tuple(n // 3 for n in grey.shape)
    box = grey[tuple(slice(n, 2 * n) for n in third)]
    coarse = grey[::3, ::3, ::3].contiguous()
    sizes = tuple(w // 2 for w in window)
    find, _, _ = timed(ours, coarse, net, sizes, amp)
    search, _, _ = timed(ours, box, net, window, amp)
    return [
        Line("coarse to fine: a pass at a third of the resolution, then the organ's box, against every window with "
             "body", find + search, "s", whole, whole / (find + search))
    ]  # fmt: skip


def exactness(net: nn.Module, last: nn.Module, window: tuple[int, int, int], amp: bool) -> list[Line]:
    """How far bfloat16 lies from float32, one window."""
    torch.manual_seed(1)
    images = network_input(torch.randint(0, 256, (1, 1, *window), dtype=torch.uint8))
    with torch.inference_mode():
        started = time.process_time()
        exact = net(images)
        single = time.process_time() - started
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            started = time.process_time()
            rounded = last(images).float()
            half = time.process_time() - started
    return [
        Line("one window: bfloat16 and channels_last_3d against float32", half, "s", single, single / half, 4.0),
        Line("largest difference of probabilities, bfloat16 against float32, one window", differing(exact, rounded),
             "", goal=0.02, at_least=False),
    ]  # fmt: skip


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
