"""The state of a training run after each epoch, so that an interrupted run goes on to the same result. 2D and 3D."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines import Trainer
from torch import nn
from torch.optim import Optimizer

from la_medical.artifacts import written_whole
from la_medical.errors import InputError
from la_medical.networks.checkpoint import plain, to_bytes, unwrapped
from la_medical.networks.torch_files import read_tensors
from la_medical.training.handlers import Decisions, History
from la_medical.training.processes import gathered, rank, wait_for_all
from la_medical.training.reproducible import generator_states, restore_generators
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.teacher import Teacher

logger = logging.getLogger(__name__)

FILE = "training_state.pt"
FORMAT = "la_medical training state 1"


class TrainingState:
    """Saves `OUT/training_state.pt` after each epoch and goes on from it when training starts.

    It holds the epoch, weights, optimiser, schedule, early stopping, best score, history, and the random generators of
    every process. Attach last, so that it sees what the other handlers did.

    Args:
        folder: the run's output folder.
        network: being trained.
        optimizer: training it.
        decisions: the handler that keeps the best score.
        history: the handler that keeps the rows.
        teacher: makes pseudo-labels, if there is one.
        settings: what decides the result; a state of other settings is refused. `max_epochs` is not one of them, so a
            finished run can be made longer.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        decisions: Decisions,
        history: History,
        settings: Mapping[str, Any],
        teacher: Teacher | None = None,
    ) -> None:
        self.path = Path(folder) / FILE
        self.network = network
        self.optimizer = optimizer
        self.decisions = decisions
        self.history = history
        self.teacher = teacher
        self.settings = plain(settings)
        self._read = _state_to_resume(self.path, self.settings, decisions.checkpoint)

    def attach(self, engine: Trainer) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def restore(self, engine: Trainer) -> None:
        """Put everything back, if there is a state."""
        if self._read is None:
            return
        state, self._read = self._read, None
        unwrapped(self.network).load_state_dict(state["network"])
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.decisions.load_state_dict(state["decisions"])
        self.history.rows = [dict(row) for row in state["history"]]
        engine.state.epoch = int(state["epoch"])
        engine.state.iteration = engine.state.epoch * engine.state.epoch_length
        if rank() < len(state["generators"]):
            restore_generators(state["generators"][rank()])
        logger.info("going on after epoch %d", engine.state.epoch)
        stopped = self.decisions.stopping.counter >= self.decisions.patience
        if stopped or engine.state.epoch >= engine.state.max_epochs:
            logger.info("this training is complete; another --output_dir starts a new one")
            engine.terminate()

    def save(self, engine: Trainer) -> None:
        """Write the state of all processes, on rank 0."""
        generators = gathered(generator_states())
        if rank() == 0:
            content = {
                "format": FORMAT,
                "settings": self.settings,
                "epoch": engine.state.epoch,
                "network": unwrapped(self.network).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "decisions": self.decisions.state_dict(),
                "history": self.history.rows,
                "generators": generators,
            }
            if self.teacher is not None:
                content["teacher"] = self.teacher.state_dict()
            with written_whole(self.path) as temporary:
                temporary.write_bytes(to_bytes(content))
        wait_for_all()


@stops_on_bad_input
def _state_to_resume(path: Path, settings: Mapping[str, Any], checkpoint: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    state = read_tensors(path, what="training state")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path}: not a training state of this version; remove it, or give another --output_dir")
    differing = [
        f"{key} {_brief(there)}, now {_brief(here)}" for key, there, here in _differences(state["settings"], settings)
    ]
    if differing:
        raise InputError(
            f"{path} belongs to a training with other settings ({'; '.join(differing[:3])}); give another "
            "--output_dir, or remove that file to start anew"
        )
    if state["decisions"]["best_epoch"] and not checkpoint.is_file():
        raise InputError(f"{path} is there, but {checkpoint} with its best weights is not; put it back, or remove both")
    return state


def _differences(there: Any, here: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        found = []
        for name in sorted(set(there) | set(here)):
            found += _differences(there.get(name), here.get(name), f"{key}::{name}" if key else name)
        return found
    return [] if there == here else [(key, there, here)]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
