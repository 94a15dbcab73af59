"""One step of training with the two views of the paper, the optimiser, and the run of a MONAI engine. 2D and 3D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from monai.engines import SupervisedTrainer, Workflow
from monai.inferers import SimpleInferer
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from la_medical.errors import InputError
from la_medical.networks.class_query import parameter_groups
from la_medical.training.accumulation import backward_in_parts
from la_medical.training.balanced_cases import balance_of
from la_medical.training.comparator import targets_of_sources
from la_medical.training.processes import everyones, world_size
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.teacher import Teacher
from la_medical.training.values import boolean, integer, names, number


class Views(Protocol):
    """Makes both views of a batch and the targets they share."""

    def __call__(self, images: Tensor, targets: Tensor, *, cases: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """`(weak, strong, targets)`, all with B rows."""


class LabelAssembleUpdate:
    """`iteration_update` of MONAI's trainer: both views in one forward, the named loss terms, one optimiser step.

    During the loss's warm-up nothing looks at the strong view, so it is not sent through the network. With W
    processes the loss is that of all W * B cases together, so that its means are over the whole batch.

    The engine's output holds `loss` and every term, detached, still on the device: nothing waits for it here.

    Args:
        views: makes both views.
        accumulation: parts in which a batch goes through the network; see `backward_in_parts`.
        teacher: answers the weak view for the pseudo-labels, in a second forward without gradient; None for the network
            itself.
        sources: (N,) source of each case (`comparator.source_numbers`), for heads with outputs of each source.
        train_only: classes whose queries alone learn (`started_network`). The network then stays in eval mode, so that
            batch statistics, and with them the other classes' answers, cannot move.
    """

    def __init__(
        self,
        *,
        views: Views,
        accumulation: Any = 1,
        teacher: Teacher | None = None,
        sources: Tensor | None = None,
        train_only: Any = None,
    ) -> None:
        self.views = views
        self.parts = _parts_or_stop(accumulation)
        self.teacher = teacher
        self.sources = sources
        self.frozen = names("train_only", train_only) is not None

    def __call__(self, engine: SupervisedTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train on one batch with `image` (B, ...), `label` (B, K, ...) and `case` (B,)."""
        device, epoch, loss = engine.state.device, engine.state.epoch, engine.loss_function
        images, targets, cases = (batch[key].to(device, non_blocking=True) for key in ("image", "label", "case"))
        with torch.no_grad():
            weak, strong, targets = self.views(images, targets, cases=cases, epoch=epoch)
            targets = targets_of_sources(engine.network, targets, cases, self.sources)
        engine.network.train(not self.frozen)
        engine.optimizer.zero_grad(set_to_none=True)
        seen = strong if epoch > loss.warmup_epochs else None
        terms = self._backward(engine, weak, seen, targets)
        engine.optimizer.step()
        if self.teacher is not None:
            self.teacher.update()
        return {"loss": loss.total(terms).detach(), **{name: term.detach() for name, term in terms.items()}}

    def _backward(
        self, engine: SupervisedTrainer, weak: Tensor, strong: Tensor | None, targets: Tensor
    ) -> dict[str, Tensor]:
        """Gradients of the whole batch, and its terms."""
        network, loss, epoch = engine.network, engine.loss_function, engine.state.epoch
        taught = self._taught(engine, weak) if strong is not None else None
        if self.parts > 1:
            return backward_in_parts(
                network=network,
                answer=lambda images: engine.inferer(images, network).float(),
                loss=loss,
                weak=weak,
                strong=strong,
                targets=targets,
                epoch=epoch,
                parts=self.parts,
                teacher=taught,
            )
        logits = engine.inferer(weak if strong is None else torch.cat([weak, strong]), network).float()
        views = [everyones(view) for view in logits.split(len(weak))]
        second = views[1] if strong is not None else None
        terms: dict[str, Tensor] = loss(views[0], second, everyones(targets), epoch, taught)
        (loss.total(terms) * world_size()).backward()  # gradients are averaged over the processes, and here they add up
        return terms

    @torch.no_grad()
    def _taught(self, engine: SupervisedTrainer, weak: Tensor) -> Tensor | None:
        """The teacher's logits of the weak view of all processes' cases, (W * B, K); None without a teacher."""
        if self.teacher is None:
            return None
        parts = [engine.inferer(part, self.teacher.module) for part in weak.chunk(self.parts)]
        return everyones(torch.cat(parts).float())


class AutocastInferer(SimpleInferer):
    """MONAI's simple inferer, in bfloat16 where `amp` is on and the device computes in it.

    bfloat16 has float32's range: no gradient scaling is needed, and nothing overflows.
    """

    def __init__(self, amp: Any = False) -> None:
        super().__init__()
        self.amp = _boolean_or_stop("amp", amp)

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """The network's answer, float32."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.amp and computes_bfloat16(inputs.device)):
            answer: Tensor = super().__call__(inputs, network, *args, **kwargs)
        return answer.float()


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the device itself, and not imitated slowly."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) if torch.backends.mkldnn.is_available() else False


@stops_on_bad_input
def optimiser(
    *, network: nn.Module, learning_rate: Any, weight_decay: Any = 0.0, device: torch.device | None = None
) -> Optimizer:
    """Adam, or AdamW when weights decay; class queries and biases never decay. Fused on CUDA and CPU."""
    rate = number("learning_rate", learning_rate, above=0)
    decay = number("weight_decay", weight_decay, least=0)
    groups = parameter_groups(network, decay)
    fused = device is not None and device.type in ("cuda", "cpu")
    return AdamW(groups, lr=rate, fused=fused) if decay else Adam(groups, lr=rate, fused=fused)


@stops_on_bad_input
def plateau_schedule(*, optimizer: Optimizer, patience: Any = 5, factor: Any = 0.5) -> ReduceLROnPlateau:
    """The learning rate times `factor` after more than `patience` validations without a better score."""
    times = number("plateau_factor", factor, above=0)
    if times >= 1:
        raise InputError(f"plateau_factor is {times}; expected a number between 0 and 1")
    return ReduceLROnPlateau(
        optimizer, mode="max", factor=times, patience=integer("plateau_patience", patience, least=0), threshold=0.0
    )


class CosineSchedule(LambdaLR):
    """The learning rate rises over the first third of the validations and falls along a cosine to nearly 0.

    Steps once a validation, whatever its score. For short trainings, whose last weights a constant rate leaves noisy.
    """

    def __init__(self, optimizer: Optimizer, validations: int) -> None:
        rise = max(1, validations // 3)

        def share(step: int) -> float:
            if step < rise:
                return (step + 1) / (rise + 1)
            done = min(1.0, (step - rise) / max(1, validations - rise))
            return max(0.01, 0.5 * (1.0 + math.cos(math.pi * done)))

        super().__init__(optimizer, share)

    def step(self, score: float | None = None) -> None:
        """One validation further."""
        super().step()


Schedule = ReduceLROnPlateau | CosineSchedule
SCHEDULES = ("plateau", "cosine")


@stops_on_bad_input
def learning_rate_schedule(
    *, schedule: Any, optimizer: Optimizer, max_epochs: Any, val_interval: Any, patience: Any = 5, factor: Any = 0.5
) -> Schedule:
    """`plateau` (the paper's recipe, `plateau_schedule`) or `cosine` over `max_epochs` (`CosineSchedule`)."""
    _check_schedule(schedule)
    if schedule == "plateau":
        return plateau_schedule(optimizer=optimizer, patience=patience, factor=factor)
    return CosineSchedule(optimizer, epochs(max_epochs=max_epochs, val_interval=val_interval) // int(val_interval))


@stops_on_bad_input
def schedule_setting(*, schedule: Any, max_epochs: Any) -> str:
    """The schedule among a run's settings. A cosine knows its end, so such a run cannot be made longer afterwards."""
    _check_schedule(schedule)
    return "plateau" if schedule == "plateau" else f"cosine over {max_epochs} epochs"


def _check_schedule(schedule: Any) -> None:
    if schedule not in SCHEDULES:
        raise InputError(f"schedule {schedule!r}: expected one of {', '.join(SCHEDULES)}")


@stops_on_bad_input
def epochs(*, max_epochs: Any, val_interval: Any) -> int:
    """`max_epochs`, checked; exit code 2 if no epoch would be validated."""
    most, every = integer("max_epochs", max_epochs, least=1), integer("val_interval", val_interval, least=1)
    if every > most:
        raise InputError(f"val_interval {every} is more than max_epochs {most}: no epoch would be validated")
    return most


@stops_on_bad_input
def check_values(
    *,
    batch_size: Any,
    image_size: Any,
    num_workers: Any,
    amp: Any,
    tensorboard: Any,
    early_stopping_patience: Any,
    accumulation: Any = 1,
    class_balance: Any = 0.0,
) -> None:
    """Exit code 2 for a value that cannot be used, before images are packed."""
    size = integer("batch_size", batch_size, least=1)
    if integer("accumulation", accumulation, least=1) > size:
        raise InputError(f"accumulation is {accumulation}, more parts than the {size} cases of a batch (batch_size)")
    balance_of(class_balance)
    integer("image_size", image_size, least=8)
    integer("num_workers", num_workers, least=0)
    integer("early_stopping_patience", early_stopping_patience, least=1)
    boolean("amp", amp)
    boolean("tensorboard", tensorboard)


def run(engine: Workflow) -> None:
    """Run a MONAI engine; bad input found on the way ends with one line and exit code 2."""
    _run(engine)


@stops_on_bad_input
def _run(engine: Workflow) -> None:
    try:
        engine.run()
    except (RuntimeError, ValueError) as error:  # MONAI's transforms wrap what they raise
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        cause = cause or _too_small(error)
        if cause is None:
            raise
        raise cause from error


def _too_small(error: Exception) -> InputError | None:
    """What torch says of images that a network pools away, as something a user can put right."""
    if "Output size is too small" in str(error) or "Kernel size can't be greater" in str(error):
        return InputError("the images are too small for this network: nothing is left after pooling; raise image_size")
    if "Expected more than 1 value per channel" in str(error):
        return InputError(
            "a batch of one case leaves one value a channel, too few for batch normalisation; raise image_size, or "
            "give a batch_size of at least 2"
        )
    return None


def finite(name: str, value: float, epoch: int) -> float:
    """`value`, or `InputError` if training has diverged."""
    if not math.isfinite(value):
        raise InputError(
            f"training diverged: {name} is {value} in epoch {epoch}; lower learning_rate, or look for wrong images"
        )
    return value


@stops_on_bad_input
def _parts_or_stop(accumulation: Any) -> int:
    return integer("accumulation", accumulation, least=1)


@stops_on_bad_input
def _boolean_or_stop(key: str, value: Any) -> bool:
    return boolean(key, value)
