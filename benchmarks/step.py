"""One training step for X-rays: what the loss adds, what the released per-class loop costs, and what speeds a step up.

    python benchmarks/step.py [--tiny] [--out FILE]

One thread. The loss's share is measured as a difference of two losses on the same logits, over a whole step with plain
cross-entropy, since 3% of a step drown in its noise.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from types import SimpleNamespace

import torch
from measure import Line, benchmark, cpu_seconds, interleaved
from torch import Tensor, nn
from torch.nn import functional

from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate, computes_bfloat16, optimiser
from la_medical.training.views import RandomAffine, RandomContrast, RandomErase, RandomNoise, XrayViews

CPU = torch.device("cpu")


def network(tiny: bool, channels_last: bool = True) -> tuple[nn.Module, int, int]:
    """DenseNet121 for 14 classes, its image size and the cases of a batch."""
    torch.manual_seed(0)
    options = {"init_features": 8, "growth_rate": 4, "block_config": [1, 1]} if tiny else {}
    net = classifier.build("densenet" if tiny else "densenet121", num_classes=14, options=options)
    net = net.to(memory_format=torch.channels_last) if channels_last else net
    return net, *((32, 4) if tiny else (224, 4))


def states(cases: int, classes: int, unknown: float = 0.5) -> Tensor:
    """Random labels, half of them unknown."""
    drawn = torch.rand(cases, classes)
    return torch.where(drawn < unknown, math.nan, (drawn > (1 + unknown) / 2).float())


def plain_bce(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets)


def released_loop(logits: Tensor, strong: Tensor, targets: Tensor) -> Tensor:
    """The shape of the released training loop, from its description: a loss for each sample and each class by itself.

    For every sample and class: a known label gives a cross-entropy of one number; an unknown one a sharpened answer and
    two squared differences. The sums are added up in Python.
    """
    total = logits.new_zeros(())
    for sample in range(len(logits)):
        for number in range(logits.shape[1]):
            answer = torch.sigmoid(logits[sample, number])
            target = targets[sample, number]
            if bool(torch.isnan(target)):
                pseudo = answer + (1 - answer) / 4 if float(answer.detach()) > 0.5 else answer - answer / 4
                total = total + (answer - pseudo.detach()) ** 2
                total = total + (torch.sigmoid(strong[sample, number]) - pseudo.detach()) ** 2
            else:
                total = total + functional.binary_cross_entropy(answer, target)
    return total


def backward_of(loss: Callable[[Tensor, Tensor], Tensor], cases: int, classes: int) -> Callable[[], None]:
    weak, strong = (torch.randn(cases, classes, requires_grad=True) for _ in range(2))

    def work() -> None:
        loss(weak, strong).backward()

    return work


def loss_lines(tiny: bool) -> list[Line]:
    """What the loss adds to a step with plain cross-entropy, and what the loop over samples and classes costs."""
    net, size, cases = network(tiny)
    images, labels = torch.randn(2 * cases, 1, size, size), states(cases, 14).nan_to_num(0)
    ours, repeats = LabelAssembleLoss(), 5 if tiny else 200

    def bce_step() -> None:
        net.zero_grad()
        logits = net(images)
        (plain_bce(logits[:cases], labels) + plain_bce(logits[cases:], labels)).backward()

    step = cpu_seconds(bce_step, 1 if tiny else 2)
    targets = states(cases, 14)

    def many(work: Callable[[], None]) -> Callable[[], None]:
        return lambda: [work() for _ in range(repeats)] and None

    full = backward_of(lambda weak, strong: ours.total(ours(weak, strong, targets, 1)), cases, 14)
    bare = backward_of(lambda weak, strong: plain_bce(weak, labels) + plain_bce(strong, labels), cases, 14)
    added, plain = (value / repeats for value in interleaved([many(full), many(bare)]))
    more = states(16, 15)
    fast = backward_of(lambda weak, strong: ours.total(ours(weak, strong, more, 1)), 16, 15)
    slow = backward_of(lambda weak, strong: released_loop(weak, strong, more), 16, 15)
    quick, loop = interleaved([many(fast), slow])
    quick /= repeats
    return [
        Line(
            "loss with K = 14 beside plain cross-entropy, share of a DenseNet121 step (4 cases, two views)",
            1e3 * (step + added - plain), "ms", 1e3 * step, 1 + (added - plain) / step, 1.03, at_least=False,
        ),
        Line(
            "the loss by itself, forward and backward, K = 14", 1e3 * added, "ms", 1e3 * plain, added / plain,
            note="ratio to plain cross-entropy; both are far below a step",
        ),
        Line(
            "per-sample, per-class loop (batch 16, K = 15) against the loss", 1e3 * quick, "ms", 1e3 * loop,
            loop / quick, note="no goal was set",
        ),
    ]  # fmt: skip


def both_views(net: nn.Module, images: Tensor, amp: bool) -> Callable[[], None]:
    """Forward and backward of a batch of both views."""

    def work() -> None:
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            logits = net(images)
        logits.float().square().mean().backward()

    return work


def speed_lines(tiny: bool) -> list[Line]:
    """Memory format, bfloat16, one forward for both views, compilation, fused optimiser: each against without."""
    net, size, cases = network(tiny)
    standard, _, _ = network(tiny, channels_last=False)
    images = torch.randn(2 * cases, 1, size, size)
    amp, rounds = computes_bfloat16(CPU), 1 if tiny else 2
    last, first, last16, first16 = interleaved(
        [both_views(net, images, False), both_views(standard, images, False), both_views(net, images, amp),
         both_views(standard, images, amp)], rounds,
    )  # fmt: skip
    one, two = both_views(net, images, amp), both_views(net, images[:cases], amp)
    together, apart = interleaved([one, lambda: (two(), two())], rounds)
    lines = [
        Line("channels_last, DenseNet121 step, float32", last, "s", first, first / last),
        Line("channels_last and bfloat16 together against float32", last16, "s", first, first / last16,
             note="bfloat16 here" if amp else "no bfloat16 on this processor"),
        Line("bfloat16 alone", first16, "s", first, first / first16),
        Line("both views in one forward against two", together, "s", apart, apart / together),
    ]  # fmt: skip
    return lines + small_lines(tiny, amp) + optimiser_lines(net)


def small_lines(tiny: bool, amp: bool) -> list[Line]:
    """The small preset's network: channels_last in inference, and torch.compile in training."""
    torch.manual_seed(0)
    options = {"init_features": 32, "growth_rate": 16, "block_config": [2, 2, 2, 2]}
    net = classifier.build("densenet", num_classes=14, options=options)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    images = torch.randn(4 if tiny else 32, 1, 96, 96)

    def answer(one: nn.Module, enabled: bool) -> Callable[[], None]:
        def work() -> None:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                one(images)

        return work

    for one in (net, last):
        one.eval()
    rounds = 1 if tiny else 5
    before, after, after16 = interleaved([answer(net, False), answer(last, False), answer(last, amp)], rounds)
    lines = [
        Line("channels_last, small DenseNet answering, float32", 1e3 * after, "ms a batch", 1e3 * before,
             before / after, 1.3),
        Line("channels_last and bfloat16, small DenseNet answering", 1e3 * after16, "ms a batch", 1e3 * before,
             before / after16),
    ]  # fmt: skip
    return lines + ([] if tiny else [compiled_line(last.train(), images, amp)])


def all_cpu() -> float:
    """CPU seconds of this process and of the compilers that it started and waited for."""
    return sum(os.times()[:4])


def compiled_line(net: nn.Module, images: Tensor, amp: bool) -> Line:
    """torch.compile (inductor) of the small preset's network, and how long its first step takes."""
    compiled = torch.compile(copy.deepcopy(net))
    started = all_cpu()
    both_views(compiled, images, amp)()
    first = all_cpu() - started
    fast, eager = interleaved([both_views(compiled, images, amp), both_views(net, images, amp)], 5)
    return Line(
        "torch.compile, small DenseNet step", 1e3 * fast, "ms", 1e3 * eager, eager / fast,
        note=f"the first step takes {first:.0f} CPU s to compile; off by default",
    )  # fmt: skip


def optimiser_lines(net: nn.Module) -> list[Line]:
    """Adam in one pass over each parameter, as the bundles use it, and torch's default."""
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    ours = optimiser(network=net, learning_rate=1e-4, device=CPU)
    default = torch.optim.Adam(net.parameters(), lr=1e-4)
    fused, plain = interleaved([ours.step, default.step], 5)
    return [Line("optimiser step, fused Adam against torch's default", 1e3 * fused, "ms", 1e3 * plain, plain / fused)]


def whole_step_line(tiny: bool) -> list[Line]:
    """The bundle's whole update (views, network, loss, optimiser) against a bare step on ready images."""
    net, size, cases = network(tiny)
    amp = computes_bfloat16(CPU)
    views = XrayViews(
        weak=[RandomAffine(7.0, 0.05, 0.04)],
        strong=[RandomAffine(15.0, 0.15, 0.08), RandomContrast(1.5, 0.1), RandomNoise(0.05), RandomErase(0.4)],
        seed=0,
    )
    update, optimizer = LabelAssembleUpdate(views=views), optimiser(network=net, learning_rate=1e-4, device=CPU)
    engine = SimpleNamespace(
        state=SimpleNamespace(device=CPU, epoch=1), network=net, optimizer=optimizer,
        loss_function=LabelAssembleLoss(), inferer=AutocastInferer(amp),
    )  # fmt: skip
    batch = {
        "image": torch.randint(0, 255, (cases, 1, size, size), dtype=torch.uint8),
        "label": states(cases, 14),
        "case": torch.arange(cases),
    }
    images = torch.randn(2 * cases, 1, size, size)
    bare = both_views(net, images, amp)

    def bare_step() -> None:
        bare()
        optimizer.step()

    ours, peer = interleaved([lambda: update(engine, batch), bare_step], 1 if tiny else 3)
    return [
        Line(
            "the bundle's whole step as a share of bare forward, backward and Adam on random images", ours, "s", peer,
            peer / ours, 0.9, note="views, losses and detached terms are the difference",
        )
    ]  # fmt: skip


def measure(tiny: bool) -> list[Line]:
    torch.set_num_threads(1)
    return loss_lines(tiny) + whole_step_line(tiny) + speed_lines(tiny)


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
