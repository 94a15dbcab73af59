"""The class-query head for K = 3 to 1024 classes, 2D and 3D: CPU seconds and memory, forward and backward.

    python benchmarks/head_scaling.py [--tiny] [--out FILE]

Peers on the same features: the plain head (`nn.Linear`, in 3D a 1x1x1 convolution), one pass a class (DoDNet's way)
and features repeated for each class (the way of the CLIP-driven Universal Model). The last two are measured in 2D
up to 16 classes here, and in 3D by `head.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import Line, added_mib, benchmark, interleaved
from step import network
from torch import Tensor, nn

from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.dynamic_head import DoDNetHead, UniversalHead

CLASSES = (3, 16, 64, 256, 1024)
SLOW_UP_TO = {False: 16, True: 0}  # in 3D `head.py` measures them


def features(tiny: bool, spatial: bool, count: int) -> Tensor:
    """2D: 32 images' pooled features of DenseNet121; 3D: 16 channels at 40^3 voxels (24^3 for K = 1024)."""
    torch.manual_seed(0)
    if not spatial:
        return torch.randn(4 if tiny else 32, 1024, requires_grad=True)
    return torch.randn(1, 16, *[8 if tiny else 24 if count > 256 else 40] * 3, requires_grad=True)


def trained(head: nn.Module, f: Tensor) -> Callable[[], None]:
    """Forward and backward, into the features too."""

    def work() -> None:
        f.grad = None
        head.zero_grad()
        head(f).square().mean().backward()

    return work


def answered(head: nn.Module, f: Tensor) -> Callable[[], None]:
    head.eval()

    def work() -> None:
        with torch.no_grad():
            head(f)

    return work


def plain(spatial: bool, channels: int, count: int) -> nn.Module:
    return nn.Conv3d(channels, count, 1) if spatial else nn.Linear(channels, count)


def scaling(tiny: bool, spatial: bool, count: int) -> list[Line]:
    f = features(tiny, spatial, count)
    channels = f.shape[1]
    heads = [ClassQueryHead(channels, count), plain(spatial, channels, count)]
    rounds = 1 if tiny else 3
    name = f"{'3D' if spatial else '2D'}, K = {count}"
    peer = "1x1x1 convolution" if spatial else "nn.Linear"
    ours, bare = interleaved([trained(head, f) for head in heads], rounds)
    kept, kept_bare = interleaved([answered(head, f) for head in heads], rounds)
    goal = 1.05 if spatial else None
    note = "" if spatial else "W q for every class is made anew each step, and a DenseNet121 step takes seconds"
    lines = [
        Line(f"{name}: class queries against {peer}, forward and backward", 1e3 * ours, "ms", 1e3 * bare, ours / bare,
             goal, at_least=False, note=note),
        Line(f"{name}: the same, answering", 1e3 * kept, "ms", 1e3 * kept_bare, kept / kept_bare, goal,
             at_least=False),
    ]  # fmt: skip
    return lines + (slow_heads(name, f, count, ours) if count <= SLOW_UP_TO[spatial] else [])


def slow_heads(name: str, f: Tensor, count: int, ours: float) -> list[Line]:
    """A pass a class, and repeated features."""
    channels = f.shape[1]
    least = added_mib(trained(ClassQueryHead(channels, count), f))
    lines = []
    for what, head in (
        ("one pass a class (DoDNet)", DoDNetHead(channels, count)),
        ("repeated features (Universal Model)", UniversalHead(channels, count)),
    ):
        work = trained(head, f)
        used = added_mib(work)
        (slow,) = interleaved([work], 1)
        lines.append(Line(f"{name}: class queries against {what}", 1e3 * ours, "ms", 1e3 * slow, slow / ours))
        lines.append(Line(f"{name}: memory against {what}", least, "MiB", used, used / least))
    return lines


def whole_step(tiny: bool) -> Line:
    """What the head is of a training step, K = 1024, the most classes in 2D."""
    net, size, cases = network(tiny)
    images = torch.randn(2 * cases, 1, size, size)
    queries = network(tiny)[0]
    count = CLASSES[-1]
    channels = net.head.in_channels
    net.head, queries.head = nn.Linear(channels, count), ClassQueryHead(channels, count)
    bare, ours = interleaved([trained(part, images.requires_grad_()) for part in (net, queries)], 1 if tiny else 2)
    return Line("2D, K = 1024: DenseNet121 step (4 cases, two views), class queries against nn.Linear", ours, "s", bare,
                ours / bare, 1.05, at_least=False)  # fmt: skip


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    lines = []
    for spatial in (False, True):
        for count in CLASSES[:2] if tiny else CLASSES:
            lines += scaling(tiny, spatial, count)
    return [*lines, whole_step(tiny)]


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
