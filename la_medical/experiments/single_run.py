"""One run: train the 2D bundle in this process, answer the test images, score them. The bundle's own data path."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from la_medical import __version__
from la_medical.artifacts import read_json, read_object, sha256_of, write_json
from la_medical.diagnosis.predictions import read_predictions
from la_medical.errors import InputError
from la_medical.experiments.plan import Arm, DataSet, Plan
from la_medical.manifest.table import Manifest, write_manifest
from la_medical.networks.checkpoint import load_checkpoint
from la_medical.networks.comparators import cost
from la_medical.networks.query_similarity import query_similarity
from la_medical.resources import bundles_folder
from la_medical.statistics.auc import auroc, delong
from la_medical.training.network import built_network

BUNDLE = "chest_xray_classification"
SIMILARITY = "similarity."
"""Prefix of the figures that hold a cosine of two learned queries."""


@dataclass(frozen=True)
class Job:
    """What one run needs. `known`: training and validation rows as the arm knows them; `truth`: all labels."""

    plan: Plan
    data: str
    arm: str
    seed: int
    known: Manifest
    truth: Manifest
    out: Path
    cache: Path

    @property
    def name(self) -> str:
        """Folder name of the run."""
        return f"{self.data}-{self.arm}-{self.seed}"

    @property
    def described(self) -> tuple[DataSet, Arm]:
        """The plan's entries for this run."""
        return self.plan.data[self.data], self.plan.arms[self.arm]


def run(job: Job) -> dict[str, Any]:
    """The row of a run; read from its folder where the same configuration has been run there before.

    Raises:
        InputError: training or inference stopped.
    """
    manifest, truth = job.out / "known.csv", job.out / "truth.csv"
    write_manifest(job.known, manifest, command="la-medical experiment")
    write_manifest(job.truth, truth, command="la-medical experiment")
    settings = settings_of(job)
    wanted = config_hash(job, settings, manifest, truth)
    row_file = job.out / "row.json"
    if row_file.is_file():
        before: dict[str, Any] = read_json(row_file)
        if before.get("config_hash") == wanted:
            return before
    (job.out / "training_state.pt").unlink(missing_ok=True) if _of_another(job.out, wanted) else None
    write_json(job.out / "config.json", {"config_hash": wanted, "settings": settings})
    common = {"bundle_root": str(_bundle()), "output_dir": str(job.out), "cache_dir": str(job.cache)}
    bundle_run([*job.plan.configs], {**settings, **common, "manifest": str(manifest), "seed": job.seed}, job.name)
    answering = {key: value for key, value in settings.items() if key.split("::")[0] in ANSWERING}
    configs = ["inference", *(name for name in job.plan.configs if name != "train")]
    common.pop("cache_dir")
    bundle_run(configs, {**answering, **common, "manifest": str(truth), "split": "val,test"}, job.name)
    row = {"experiment": job.plan.name, "size": job.plan.size, "data": job.data, "arm": job.arm, "seed": job.seed,
           "config_hash": wanted, **facts(job), **figures(job)}  # fmt: skip
    row = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
    write_json(row_file, row)
    (job.out / "training_state.pt").unlink(missing_ok=True)
    return row


ANSWERING = ("image_size", "network_config", "batch_size", "device", "num_workers", "torch_threads", "amp")
"""Settings that inference takes too."""


def settings_of(job: Job) -> dict[str, Any]:
    """Overrides of the bundle: the experiment's, the arm's, and the epochs that make the wanted number of steps."""
    data, arm = job.described
    settings: dict[str, Any] = {**job.plan.settings, **arm.settings}
    images = int((job.known.table["split"] == "train").sum())
    batch = int(settings.get("batch_size", 32))
    if job.plan.steps is not None:
        epochs = max(1, round(job.plan.steps / math.ceil(images / batch)))
        settings["max_epochs"] = epochs
        settings["val_interval"] = max(1, epochs // job.plan.validations)
        settings.setdefault("early_stopping_patience", job.plan.validations + 1)
    if data.scored:  # both arms of a comparison are chosen on the classes that it is about
        settings["score_classes"] = [name for name in data.scored if name in job.known.classes]
    if job.plan.warmup is not None and "max_epochs" in settings and "loss::warmup_epochs" not in arm.settings:
        settings["loss::warmup_epochs"] = round(job.plan.warmup * int(settings["max_epochs"]))
    return settings


def config_hash(job: Job, settings: Mapping[str, Any], manifest: Path, truth: Path) -> str:
    """16 hex digits that change with anything that decides the result of the run."""
    bundle = {name: sha256_of(_bundle() / "configs" / f"{name}.yaml") for name in (*job.plan.configs, "inference")}
    data, _ = job.described
    content = {
        "version": __version__, "seed": job.seed, "settings": dict(settings), "data": asdict(data), "bundle": bundle,
        "known": sha256_of(manifest), "truth": sha256_of(truth),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def facts(job: Job) -> dict[str, Any]:
    """How much the run saw, how it went and what its network costs."""
    table = job.known.table
    states = job.known.states()[(table["split"] == "train").to_numpy()]
    checkpoint = load_checkpoint(job.out / "model.pt")
    history = pd.read_csv(job.out / "history.csv")
    network = built_network(
        config=checkpoint.network_config, num_classes=len(checkpoint.classes), checkpoint=checkpoint
    )
    paid = cost(network)
    best = checkpoint.provenance["best"]
    batch = int(settings_of(job).get("batch_size", 32))
    return {
        "train_images": len(states),
        "known_labels": int((~np.isnan(states)).sum()),
        "epochs": len(history),
        "steps": len(history) * math.ceil(len(states) / batch),
        "best_epoch": int(best["epoch"]),
        "val_score": float(best["score"]),
        "forward_passes": paid.forward_passes,
        "parameters": paid.parameters,
    }


def figures(job: Job) -> dict[str, float]:
    """AUC of each scored class on the test images, their mean, each source's, and the queries' cosines with the target.

    Classes that the arm does not answer have no figure; so has a class with one state only.
    """
    data, _ = job.described
    predictions = read_predictions(job.out / "predictions.csv").set_index("case_id")
    test = job.truth.rows("test")
    answered = [name for name in job.truth.classes if f"prob.{name}" in predictions.columns]
    scored = [name for name in (data.scored or answered) if name in answered]
    scores = predictions.loc[test.table["case_id"], [f"prob.{name}" for name in scored]].to_numpy(dtype=float)
    truth, sources = test.states(scored), test.table["source"].to_numpy()
    found: dict[str, float] = {}
    for column, name in enumerate(scored):
        found[f"auroc.{name}"] = _area(truth[:, column], scores[:, column])
        if job.plan.analysis == "per_class":
            known = np.isin(truth[:, column], (0, 1))
            interval = delong(truth[known, column].astype(int), scores[known, column])
            found |= {f"low.{name}": interval.low, f"high.{name}": interval.high}
            found[f"positives.{name}"] = int((truth[:, column] == 1).sum())
    defined = [value for value in found.values() if not math.isnan(value)]
    areas = [found[f"auroc.{name}"] for name in scored if not math.isnan(found[f"auroc.{name}"])]
    found["auroc"] = float(np.mean(areas)) if areas and defined else math.nan
    if job.plan.analysis == "per_source":
        found |= _by_source(job, predictions, truth, scores, scored, sources)
    if job.plan.analysis == "similarity_gain" and job.plan.target is not None:
        cosines = query_similarity(load_checkpoint(job.out / "model.pt"))
        if job.plan.target in cosines.index:
            row = cosines.loc[job.plan.target]
            found |= {SIMILARITY + str(name): float(value) for name, value in row.items() if name != job.plan.target}
    return found


def _by_source(
    job: Job,
    predictions: pd.DataFrame,
    truth: np.ndarray,
    scores: np.ndarray,
    scored: Sequence[str],
    sources: np.ndarray,
) -> dict[str, float]:
    """AUC of each source alone; hits at the threshold that is best on validation (Youden), to be made intervals of."""
    found: dict[str, float] = {}
    val = job.truth.rows("val")
    for column, name in enumerate(scored):
        val_scores = predictions.loc[val.table["case_id"], f"prob.{name}"].to_numpy(dtype=float)
        threshold = _youden(val.states([name])[:, 0], val_scores)
        for source in ["all", *sorted(set(sources))]:
            rows = np.full(len(sources), True) if source == "all" else sources == source
            y, score = truth[rows, column], scores[rows, column]
            found[f"auroc.{name}@{source}"] = _area(y, score)
            for kind, state in (("positives", 1), ("negatives", 0)):
                right = (score >= threshold) if state else (score < threshold)
                found[f"{kind}.{name}@{source}"] = int((y == state).sum())
                found[f"right_{kind}.{name}@{source}"] = int((right & (y == state)).sum())
        found[f"source_only_auroc.{name}"] = _source_only(job.known, name, truth[:, column], sources)
    return found


def _source_only(known: Manifest, name: str, truth: np.ndarray, sources: np.ndarray) -> float:
    """AUC of a predictor that looks at no image: the share of positives that the source has in the training rows."""
    train = known.rows("train")
    state = train.states([name])[:, 0] if name in known.classes else np.full(len(train), np.nan)
    shares = {}
    for source in sorted(set(sources)):
        own = state[(train.table["source"] == source).to_numpy()]
        own = own[np.isin(own, (0, 1))]
        shares[source] = float(own.mean()) if len(own) else 0.5
    return _area(truth, np.array([shares[source] for source in sources]))


def _youden(truth: np.ndarray, scores: np.ndarray) -> float:
    known = np.isin(truth, (0, 1))
    y, s = truth[known] == 1, scores[known]
    if not len(s) or y.all() or not y.any():
        return 0.5
    candidates = np.unique(s)
    value = [(s[y] >= at).mean() + (s[~y] < at).mean() for at in candidates]
    return float(candidates[int(np.argmax(value))])


def _area(truth: np.ndarray, scores: np.ndarray) -> float:
    known = np.isin(truth, (0, 1))
    return auroc(truth[known].astype(int), scores[known])


def _of_another(out: Path, wanted: str) -> bool:
    config = out / "config.json"
    return not config.is_file() or read_object(config).get("config_hash") != wanted


def _bundle() -> Path:
    return bundles_folder() / BUNDLE


def bundle_run(configs: Sequence[str], overrides: Mapping[str, Any], name: str) -> None:
    """One command of the 2D bundle in this process: what `python -m monai.bundle run` does, without starting Python.

    Args:
        configs: files of the bundle without their suffix, `train` or `inference` first.
        overrides: keys of the configuration.
        name: of the run, for the message.

    Raises:
        InputError: the bundle stopped.
    """
    from monai.bundle import ConfigWorkflow

    files = [str(_bundle() / "configs" / f"{config}.yaml") for config in configs]
    kind = "train" if "train" in configs else "infer"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="parsing config_file", category=UserWarning)
            workflow = ConfigWorkflow(config_file=files, workflow_type=kind, logging_file=False, **overrides)
            workflow.initialize()
            workflow.run()
            workflow.finalize()
    except SystemExit as stopped:
        raise InputError(
            f"run {name}: the bundle stopped (exit code {stopped.code}); its message stands above"
        ) from None
