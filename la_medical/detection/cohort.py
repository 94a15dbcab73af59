"""All cases of a manifest: streamed over processes or a Dask cluster, with a checkpoint a case.

The tables are made from the checkpoints in sorted order, so they are the same bytes whatever the number of workers and
however often the run was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import la_medical
from la_medical.artifacts import read_object, sha256_of, write_json
from la_medical.detection.case import FAILED, MISSING, OK, CaseResult, detect_case
from la_medical.detection.nnunet_probabilities import segmentation_beside
from la_medical.detection.patients import patient_table
from la_medical.detection.prediction_files import Predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.reference import CaseRow
from la_medical.detection.spread import spread
from la_medical.detection.tables import CANDIDATE_COLUMNS, LESION_COLUMNS, SCHEMA_VERSION, frame_of, write_tables
from la_medical.errors import InputError, PredictionError
from la_medical.progress import progress

CHECKPOINTS = ".cases"
NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Task:
    """What a worker gets: one case, and where its checkpoint goes."""

    row: CaseRow
    predictions: Predictions
    classes: tuple[str, ...]
    protocol: Protocol
    checkpoint: Path


def detect(
    rows: Sequence[CaseRow],
    predictions: Predictions,
    classes: Sequence[str],
    protocol: Protocol,
    out: Path,
    *,
    about: Mapping[str, Any],
    workers: int | None = None,
    scheduler: str | None = None,
) -> dict[str, int]:
    """Write `candidates.parquet`, `lesions.parquet`, `patients.parquet` and `protocol.json` into `out`.

    Args:
        rows: cases with a known label.
        predictions: where their predictions lie.
        classes: the classes to evaluate.
        protocol: every setting.
        out: folder; checkpoints of an interrupted run in it are used again when they were made from the same input.
        about: more content for `protocol.json` (manifest, splits, phantom); `unions` in it: union to members.
        workers: processes, all cores for None; `scheduler`: address of a Dask scheduler instead.

    Returns: counts of cases: ok, missing, failed.

    Raises:
        PredictionError: predictions missing or failed under the policy `error`; every one is counted, some named.
    """
    if protocol.missing == "error":
        _refuse([row.case_id for row in rows if predictions.source(row.case_id) is None], "no prediction", len(rows))
    folder = out / CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        return _detect(rows, predictions, classes, protocol, out, about, workers, scheduler)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a second run that writes to the same folder at the same time; the lock ends with its process."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PredictionError(
                f"{folder.parent}: another `detect` is writing there; wait for it or give another --out"
            ) from error
        yield


def _detect(
    rows: Sequence[CaseRow],
    predictions: Predictions,
    classes: Sequence[str],
    protocol: Protocol,
    out: Path,
    about: Mapping[str, Any],
    workers: int | None,
    scheduler: str | None,
) -> dict[str, int]:
    folder = out / CHECKPOINTS
    slim = _without_table(predictions)
    tasks = [Task(row, slim(row.case_id), tuple(classes), protocol, folder / f"{row.case_id}.json") for row in rows]
    left = [task for task in tasks if (_done(task) or {}).get("prediction", FAILED) == FAILED]
    for _ in progress(spread(work, left, workers=workers, scheduler=scheduler), what="detect", total=len(left)):
        pass
    results: dict[str, CaseResult] = {task.row.case_id: _required(task) for task in tasks}
    failed = [f"{name} ({one['problem']})" for name, one in sorted(results.items()) if one["prediction"] == FAILED]
    if protocol.missing == "error":
        _refuse(failed, "a prediction that cannot be used", len(rows))
    patients = patient_table(
        rows, results, classes, score=protocol.score, missing=protocol.missing, unions=about.get("unions", {})
    )
    _write(out, rows, results, predictions, classes, protocol, about, patients)
    shutil.rmtree(folder)
    return {kind: sum(one["prediction"] == kind for one in results.values()) for kind in (OK, MISSING, FAILED)}


def _write(
    out: Path,
    rows: Sequence[CaseRow],
    results: Mapping[str, CaseResult],
    predictions: Predictions,
    classes: Sequence[str],
    protocol: Protocol,
    about: Mapping[str, Any],
    patients: Any,
) -> None:
    by_id = {row.case_id: row for row in rows}
    tables = {
        "candidates": frame_of(list(_rows("candidates", results, by_id, classes)), CANDIDATE_COLUMNS),
        "lesions": frame_of(list(_rows("lesions", results, by_id, classes)), LESION_COLUMNS),
        "patients": patients,
    }
    problems = {name: one["reference_problem"] for name, one in sorted(results.items()) if one["reference_problem"]}
    inputs: dict[str, Any] = {name: one["inputs"] for name, one in sorted(results.items())}
    if predictions.form == "scores":
        inputs = {"scores": sha256_of(predictions.root), **inputs}
    content = {
        "schema_version": SCHEMA_VERSION,
        "la_medical": la_medical.__version__,
        "classes": list(classes),
        "protocol": protocol.to_dict(),
        "prediction_form": predictions.form,
        "cases": {kind: _named(results, kind) for kind in (MISSING, FAILED)} | {"total": len(results)},
        "resampled": {name: one["resampled"] for name, one in sorted(results.items()) if one["resampled"]},
        "reference_problems": problems,
        "positive_rule": "a patient is positive when score >= threshold; equal scores are all positive",
        **about,
        "inputs": inputs,
    }
    write_tables(out, tables, content)


def _rows(
    name: str, results: Mapping[str, CaseResult], by_id: Mapping[str, CaseRow], classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for case_id in sorted(results):
        row = by_id[case_id]
        who = {"patient_id": row.patient_id, "source": row.source, "split": row.split}
        for one in sorted(results[case_id][name], key=lambda entry: classes.index(entry["class"])):
            yield {**one, **who}


def _named(results: Mapping[str, CaseResult], kind: str) -> list[str]:
    return [name for name, one in sorted(results.items()) if one["prediction"] == kind]


def _refuse(cases: Sequence[str], what: str, total: int) -> None:
    if cases:
        first = ", ".join(cases[:NAMED_AT_MOST]) + (", ..." if len(cases) > NAMED_AT_MOST else "")
        raise PredictionError(
            f"{len(cases)} of {total} labelled cases have {what}: {first}; make them, or choose --missing negative "
            "or --missing exclude, which count and list them"
        )


def _without_table(predictions: Predictions) -> Any:
    """A table of scores is not sent whole with every case."""

    def of(case_id: str) -> Predictions:
        if predictions.form != "scores":
            return predictions
        mine = {case_id: predictions.table[case_id]} if case_id in predictions.table else {}
        return replace(predictions, table=mine)

    return of


def work(task: Task) -> str:
    """Do one case and write its checkpoint; runs in a worker process."""
    result = detect_case(task.row, task.predictions, task.classes, task.protocol)
    write_json(task.checkpoint, {"fingerprint": fingerprint(task), "result": result})
    return task.row.case_id


def fingerprint(task: Task) -> str:
    """sha256 of all that decides a case's result: settings, labels, and size and time of its files."""
    row = task.row
    source = task.predictions.source(row.case_id)
    beside = segmentation_beside(source) if source is not None and task.predictions.form == "nnunet" else None
    files = [path for path in (source, beside, row.mask, row.image) if path is not None]
    files += [entry for folder in files if folder.is_dir() for entry in sorted(folder.iterdir())]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.exists()]
    content = [
        la_medical.__version__, task.protocol.to_dict(), list(task.classes), task.predictions.form,
        list(task.predictions.channels), sorted(task.predictions.values.items()),
        sorted(task.predictions.unions.items()), task.predictions.regions, row.space.name,
        task.predictions.table.get(row.case_id),
        dict(row.states), row.split, row.source, row.patient_id, sorted(row.mask_values.items()), stats,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _done(task: Task) -> CaseResult | None:
    """The checkpoint of a case, None when it is missing, damaged or made from other input."""
    if not task.checkpoint.is_file():
        return None
    try:
        content = read_object(task.checkpoint)
    except InputError:
        return None
    return content["result"] if content.get("fingerprint") == fingerprint(task) else None


def _required(task: Task) -> CaseResult:
    result = _done(task)
    if result is None:
        raise PredictionError(f"{task.row.case_id}: its files changed while they were read; run the command again")
    return result
