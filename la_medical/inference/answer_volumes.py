"""Answer CT volumes, one file after the other: read, look, write, go on after an interruption. 3D only."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.engines import SupervisedEvaluator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from la_medical.artifacts import read_json, sha256_of, write_json, write_text
from la_medical.detection.volumes import LEVELS
from la_medical.errors import InputError, one_line
from la_medical.inference.coarse_to_fine import Finder
from la_medical.inference.windows import SlidingWindow
from la_medical.inference.writers import PredictionFolder
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.relations import Relations
from la_medical.networks.checkpoint import Checkpoint
from la_medical.training import processes
from la_medical.training.cases import Cases
from la_medical.training.ct_data import lengths, window_of
from la_medical.training.data import OwnShare
from la_medical.training.prepared_volumes import windowed
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import boolean
from la_medical.training.volumes import read_image
from la_medical.training.working_grid import WorkingGrid

logger = logging.getLogger(__name__)

STATE = "inference.json"
FAILED = "failed.csv"


class VolumeAnswers:
    """`iteration_update` of MONAI's evaluator: one case a step, from its file to its prediction.

    A case whose prediction is there, newer than its image and made with the same settings, is not answered again. A
    case that cannot be read is kept in `failed` and the next one is answered.

    Args:
        cases: the rows to answer.
        folder: where predictions go.
        inferer: windows over the volume.
        spacing: working grid, mm.
        window: HU the network was trained with.
        finder: looks for the organ first; None searches the whole volume.
        relations: classes that exclude each other compete before the sigmoid; None where they were not trained so.
        settings: what decides an answer; predictions of other settings are made again.
    """

    def __init__(
        self,
        *,
        cases: Cases,
        folder: PredictionFolder,
        inferer: SlidingWindow,
        spacing: Sequence[float],
        window: Sequence[float],
        finder: Finder | None = None,
        relations: Relations | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.cases, self.folder, self.inferer = cases, folder, inferer
        self.spacing, self.window, self.finder, self.relations = tuple(spacing), tuple(window), finder, relations
        self.failed: dict[str, str] = {}
        self._since = _noted_since(folder.folder.parent / STATE, dict(settings or {}))

    def __call__(self, engine: SupervisedEvaluator, batch: Tensor) -> dict[str, Any]:
        """Answer the case whose position is in `batch` (1,)."""
        row = int(batch[0])
        case_id, image = self.cases.case_ids[row], self.cases.files[row]
        if self.folder.has(case_id, image, since=self._since):
            logger.info("%s: answered before", case_id)
            return {"case_id": case_id, "seconds": 0.0}
        started = time.monotonic()
        engine.network.eval()
        try:
            self.folder.remove(
                case_id, until=self._since
            )  # a case that fails now must not keep the answer of other settings
            self.folder.check(image)
            stored, affine = self.answer(image, engine.network, engine.state.device)
            self.folder.write(case_id, stored, affine, image)
        except (InputError, OSError) as error:
            self.failed[case_id] = one_line(str(error))
            logger.error("%s: not answered: %s", case_id, self.failed[case_id])
        seconds = time.monotonic() - started
        logger.info("%s: %.1f s (%d of %d)", case_id, seconds, engine.state.iteration, engine.state.epoch_length)
        return {"case_id": case_id, "seconds": seconds}

    def answer(
        self, image: Path, network: nn.Module, device: torch.device
    ) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
        """Probabilities (K, X, Y, Z) as round(65535 p) on the voxels of the file, and its affine.

        Memory at its highest, for a volume of V voxels: 2 K V bytes of answers, 2 K W on the working grid of W voxels,
        and about 12 V bytes while a volume or a class changes grids.

        Raises:
            InputError: a volume that cannot be read.
        """
        volume = read_image(image)
        grid = WorkingGrid.of(volume.grid, self.spacing)
        seen = windowed(grid.image(volume.array), self.window)
        del volume
        box = None if self.finder is None else self.finder.find(seen, grid)
        if self.finder is not None and box is None:
            logger.info("%s: no plausible organ found; the whole volume is searched", image)
        work = self._on_working_grid(seen, box, network, device)
        answers = np.empty((len(work), *grid.file.shape), dtype=np.uint16)
        for channel in range(len(work)):
            full = grid.back(torch.from_numpy(work[channel].astype(np.float32)))
            np.rint(full, out=full)
            answers[channel] = np.clip(full, 0, LEVELS)
        return answers, grid.file.affine

    def _on_working_grid(
        self, seen: Tensor, box: tuple[slice, ...] | None, network: nn.Module, device: torch.device
    ) -> NDArray[np.uint16]:
        """round(65535 p) on the working grid, 0 outside `box`."""
        work: NDArray[np.uint16] | None = None
        inside = box or (slice(None),) * 3
        offset = inside[2].start or 0
        for first, logits in self.inferer.slabs(seen[inside], network, device):
            if self.relations is not None:
                logits = competing_logits(logits[None], self.relations)[0]
            if not bool(logits.isfinite().all()):  # as an integer NaN would be 0: "no lesion"
                raise InputError(
                    "the network answered numbers that are not finite; train it again, or give --amp false"
                )
            raw = (logits.double().sigmoid() * LEVELS).round_().numpy().astype(np.uint16)
            if work is None:
                work = np.zeros((len(raw), *seen.shape), dtype=np.uint16)
            planes = slice(offset + first, offset + first + raw.shape[-1])
            work[:, inside[0], inside[1], planes] = raw
        assert work is not None  # a volume has planes
        return work


def _noted_since(path: Path, settings: dict[str, Any]) -> int:
    """When `settings` were noted at `path`, ns since 1970; they are now where others stand there, or none.

    Predictions older than that were made with other settings, also where a run with these was interrupted.
    """
    if processes.rank() == 0 and (read_json(path) if path.is_file() else None) != settings:
        write_json(path, settings)
    processes.wait_for_all()
    return path.stat().st_mtime_ns


def trained_with(
    *, checkpoint: Checkpoint, path: Any, spacing: Any, window: Any, compete: Any
) -> tuple[tuple[float, ...], tuple[float, float], bool]:
    """Spacing, HU window and competition, checked; raises `InputError` where the checkpoint was trained with others."""
    trained = checkpoint.provenance.get("settings", {})
    mm, hu, rivals = lengths("spacing", spacing), window_of(window), boolean("compete", compete)
    for key, value in (("spacing", list(mm)), ("window", list(hu)), ("compete", rivals)):
        there = trained.get(key, value)
        if there != value:
            if key == "compete":
                raise InputError(
                    f"checkpoint {path}: trained with compete {there}; give --compete {str(there).lower()}"
                )
            raise InputError(
                f"checkpoint {path}: trained with {key} {there}, here {value}; add configs/small.yaml after the other "
                "config files if it was trained with it, or leave it out if not"
            )
    return mm, hu, rivals


@stops_on_bad_input
def check_trained_with(*, checkpoint: Checkpoint, path: Any, spacing: Any, window: Any, compete: Any) -> None:
    """Exit code 2 where the checkpoint was trained with another spacing, HU window or competition."""
    trained_with(checkpoint=checkpoint, path=path, spacing=spacing, window=window, compete=compete)


@stops_on_bad_input
def volume_answers(
    *,
    cases: Cases,
    checkpoint: Checkpoint,
    path: Any,
    folder: PredictionFolder,
    inferer: SlidingWindow,
    spacing: Any,
    window: Any,
    compete: Any = False,
    finder: Finder | None = None,
) -> VolumeAnswers:
    """`VolumeAnswers` from values of a config.

    Raises (exit code 2):
        InputError: spacing, HU window or competition differ from what the checkpoint was trained with.
    """
    mm, hu, rivals = trained_with(checkpoint=checkpoint, path=path, spacing=spacing, window=window, compete=compete)
    settings = {
        "checkpoint_sha256": sha256_of(str(path)),
        "form": folder.form,
        "threshold": folder.threshold,
        "window": list(inferer.window),
        "overlap": inferer.overlap,
        "flips": inferer.flips,
        "body_only": inferer.body_only,
        "coarse_to_fine": None if finder is None else finder.settings(),
    }
    relations = Relations.of(checkpoint.label_space) if rivals else None
    return VolumeAnswers(
        cases=cases,
        folder=folder,
        inferer=inferer,
        spacing=mm,
        window=hu,
        finder=finder,
        relations=relations,
        settings=settings,
    )


@stops_on_bad_input
def positions_loader(*, cases: Cases) -> DataLoader[int]:
    """Positions of the cases, one at a time, shared out among the processes; files are opened when it is their turn."""
    rows = range(len(cases))
    return DataLoader(rows, batch_size=1, sampler=OwnShare(len(rows)))  # type: ignore[arg-type]


def finish(answers: VolumeAnswers) -> None:
    """Write `OUT/failed.csv` where cases failed, and end with 2 if all of them did, 1 if some did."""
    failed: dict[str, str] = {}
    for part in processes.gathered(answers.failed):
        failed |= part
    path = answers.folder.folder.parent / FAILED
    if not failed:
        path.unlink(missing_ok=True)
        return
    if processes.rank() == 0:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([("case_id", "reason"), *sorted(failed.items())])
        write_text(path, stream.getvalue())
    _end(failed, len(answers.cases), path)


@stops_on_bad_input
def _end(failed: Mapping[str, str], count: int, path: Path) -> None:
    first = sorted(failed)[0]
    if len(failed) == count:
        raise InputError(f"none of {count} cases could be answered; {first}: {failed[first]}")
    logger.error("%d of %d cases could not be answered, see %s", len(failed), count, path)
    raise SystemExit(1)
