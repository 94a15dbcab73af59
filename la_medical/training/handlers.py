"""What happens after each epoch: decide on the validation score, write the history, save the state. 2D and 3D."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.engines import Evaluator, Trainer
from torch import Tensor, nn

from la_medical import __version__
from la_medical.artifacts import write_text
from la_medical.labels import LabelSpace
from la_medical.networks.checkpoint import save_checkpoint
from la_medical.training.processes import rank
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.trainer import Schedule, finite
from la_medical.training.values import boolean, integer

logger = logging.getLogger(__name__)


class LossTerms:
    """Means of each loss term over an epoch, in the trainer's metrics as `train.<term>`, with `train.total`.

    Sums stay on the device until the epoch ends.
    """

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def _add(self, engine: Engine) -> None:
        for name, value in engine.state.output.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1
        # As a decollating engine leaves it: from_engine(["loss"], first=True), which MONAI's --tracking puts after this
        # handler, takes a number out of a list of dicts, and a tuple out of a dict.
        engine.state.output = [engine.state.output]

    def _finish(self, engine: Engine) -> None:
        for name, value in self._sums.items():
            named = "total" if name == "loss" else name
            mean = finite(f"the loss term {named}", float(value) / self._count, engine.state.epoch)
            engine.state.metrics[f"train.{named}"] = mean


class Decisions:
    """After a validation: keep the best weights, lower the learning rate on a plateau, stop early.

    `OUT/model.pt` is written whenever the score is better than any before. Attach after MONAI's `ValidationHandler`.

    Args:
        validator: the engine whose metric `score` decides; higher is better.
        network: whose weights are kept.
        schedule: its `step` is told the score of each validation.
        patience: stop after this many validations without a better score (ignite's `EarlyStopping`).
        checkpoint: the file to write, on rank 0.
        label_space: the classes answered.
        network_config: how the network is built.
        provenance: facts of the data and the settings.
    """

    def __init__(
        self,
        *,
        validator: Evaluator,
        network: nn.Module,
        schedule: Schedule,
        patience: Any,
        checkpoint: str | Path,
        label_space: LabelSpace,
        network_config: Mapping[str, Any],
        provenance: Mapping[str, Any],
    ) -> None:
        self.validator = validator
        self.network = network
        self.schedule = schedule
        self.patience = _patience(patience)
        self.checkpoint = Path(checkpoint)
        self.label_space = label_space
        self.network_config = network_config
        self.provenance = provenance
        self.best_score, self.best_epoch = float("-inf"), 0
        self._score = float("-inf")

    def attach(self, engine: Trainer) -> None:
        """Follow the trainer that is to be stopped."""
        self.stopping = EarlyStopping(self.patience, lambda _: self._score, engine)
        self.stopping.logger.setLevel(logging.ERROR)  # it warns at every validation without progress
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Trainer) -> None:
        """Decide, if this epoch was validated."""
        epoch = engine.state.epoch
        if not validated(self.validator, epoch):
            return
        self._score = finite("the validation score", self.validator.state.metrics["score"], epoch)
        if self._score > self.best_score:
            self.best_score, self.best_epoch = self._score, epoch
            if rank() == 0:
                self._keep()
        self.schedule.step(self._score)
        self.stopping(engine)
        if engine.should_terminate:
            logger.info("stopped: no better validation score in %d validations", self.patience)

    def _keep(self) -> None:
        figures = {name: value for name, value in self.validator.state.metrics.items() if value == value}
        save_checkpoint(
            self.checkpoint,
            network=self.network,
            label_space=self.label_space,
            network_config=self.network_config,
            provenance={
                **self.provenance,
                "best": {"epoch": self.best_epoch, "score": self.best_score, "validation": figures},
                "versions": {"la_medical": __version__, "torch": torch.__version__},
            },
        )

    def state_dict(self) -> dict[str, Any]:
        """All that the next decision depends on."""
        return {
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "schedule": self.schedule.state_dict(),
            "stopping": {"counter": self.stopping.counter, "best_score": self.stopping.best_score},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.best_score, self.best_epoch = float(state["best_score"]), int(state["best_epoch"])
        self.schedule.load_state_dict(dict(state["schedule"]))
        self.stopping.counter = int(state["stopping"]["counter"])
        self.stopping.best_score = state["stopping"]["best_score"]


class History:
    """`OUT/history.csv`: one row an epoch with the learning rate, loss terms and validation figures.

    The table is written whole after each epoch, on rank 0. What was not measured in an epoch is blank.
    """

    def __init__(self, *, validator: Evaluator, path: str | Path) -> None:
        self.validator = validator
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []

    def attach(self, engine: Trainer) -> None:
        """Follow a trainer, after its `ValidationHandler`."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Trainer) -> None:
        """Add this epoch."""
        epoch = engine.state.epoch
        row = {"epoch": epoch, "learning_rate": float(engine.optimizer.param_groups[0]["lr"])}
        row |= {name: value for name, value in engine.state.metrics.items() if name.startswith("train.")}
        if validated(self.validator, epoch):
            row |= {f"val.{name}": value for name, value in self.validator.state.metrics.items() if value == value}
        self.rows.append(row)
        logger.info("epoch %d/%d: %s", epoch, engine.state.max_epochs, _short(row))
        if rank() == 0:
            self.write()

    def write(self) -> None:
        """Write the table whole."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [",".join(columns)]
        lines += [",".join(repr(row[name]) if name in row else "" for name in columns) for row in self.rows]
        write_text(self.path, "\n".join(lines) + "\n")


class Attached:
    """A handler that the config names elsewhere, for a list of handlers: MONAI wants each entry to be a component."""

    def __init__(self, *, handler: Any) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Attach the handler."""
        self.handler.attach(engine)


@stops_on_bad_input
def without_tensorboard(wanted: Any) -> bool:
    """Whether TensorBoard's handlers are to be left out: not wanted, or not rank 0."""
    return not boolean("tensorboard", wanted) or rank() > 0


def validated(validator: Evaluator, epoch: int) -> bool:
    """Whether `validator` ran in this epoch of training (`ValidationHandler` passes it the number)."""
    return bool(validator.state.epoch == epoch and validator.state.metrics)


def _short(row: Mapping[str, float]) -> str:
    shown = [name for name in row if name.startswith("train.")] + [n for n in ("val.score", "val.bce") if n in row]
    return ", ".join(f"{name} {row[name]:.4f}" for name in shown)


@stops_on_bad_input
def _patience(value: Any) -> int:
    return integer("early_stopping_patience", value, least=1)
