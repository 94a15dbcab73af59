"""The head at every voxel of 64^3, K = 3, 16, 64, forward and backward: class queries against three other heads.

    python benchmarks/head.py [--tiny] [--out FILE]

On the same 16 features a voxel (SegResNet's): a plain 1x1x1 convolution; a pass of its own for each class, its weights
made from the pooled features and a one-hot code (DoDNet's way); the features repeated for each class (the way of the
CLIP-driven Universal Model). Memory is the most that forward and backward hold beyond what was there before.
"""

from __future__ import annotations

import torch
from head_scaling import trained
from measure import Line, added_mib, benchmark, interleaved
from torch import Tensor, nn

from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.dynamic_head import DoDNetHead, UniversalHead

CHANNELS = 16
CLASSES = (3, 16, 64)


def features(tiny: bool) -> Tensor:
    """(1, 16, 64, 64, 64)."""
    torch.manual_seed(0)
    return torch.randn(1, CHANNELS, *[8 if tiny else 64] * 3, requires_grad=True)


def others(count: int) -> dict[str, nn.Module]:
    """What the class queries are measured against."""
    return {
        "a plain 1x1x1 convolution": nn.Conv3d(CHANNELS, count, 1),
        "one pass a class (DoDNet)": DoDNetHead(CHANNELS, count),
        "repeated features (Universal Model)": UniversalHead(CHANNELS, count),
    }


def compared(f: Tensor, count: int, rounds: int) -> list[Line]:
    """Seconds and memory of all heads for K = `count`, taking turns."""
    peers = others(count)
    works = [trained(head, f) for head in (ClassQueryHead(CHANNELS, count), *peers.values())]
    seconds = interleaved(works, rounds)
    memory = [added_mib(work) for work in works]
    lines = []
    for name, slow, used in zip(peers, seconds[1:], memory[1:], strict=True):
        ours, least = seconds[0], memory[0]
        bare = "plain" in name
        ratio, goal = (ours / slow, 1.05) if bare else (slow / ours, None)
        note = "ours / peer" if bare else "peer / ours"
        what = f"K = {count}: class queries against {name}, forward and backward"
        lines.append(Line(what, ours, "CPU s", slow, ratio, goal, at_least=not bare, note=note))
        lines.append(Line(f"K = {count}: memory against {name}", least, "MiB", used, used / least))
    return lines


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    f = features(tiny)
    return [line for count in CLASSES for line in compared(f, count, 1 if tiny else 3)]


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
