"""Commands of the command line: `diagnose`, the evaluation of 2D answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from la_medical.diagnosis import Diagnosis, ThresholdRule


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "diagnose",
        help="figures per class and per source of a predictions.csv, with a report",
        description="Evaluate the answers of an image classifier on the known labels of one split. Writes "
        "metrics.json, metrics.csv, cases.csv, report.html and figures/ into --out.",
    )
    p.set_defaults(run=diagnose)
    p.add_argument("predictions", metavar="PREDICTIONS_CSV", help="case_id, then prob.<class>; may hold several splits")
    p.add_argument("--manifest", required=True, help="manifest with the labels")
    p.add_argument("--out", required=True, help="folder to write into")
    p.add_argument("--split", default="test", choices=["train", "val", "test", "all"], help="evaluated split (test)")
    p.add_argument("--threshold-from", default="val", metavar="SPLIT", choices=["train", "val", "test"],
                   help="split that thresholds are chosen on (val)")  # fmt: skip
    how = p.add_mutually_exclusive_group()
    how.add_argument("--specificity", type=float, metavar="S", help="choose thresholds for at least this specificity")
    how.add_argument("--sensitivity", type=float, metavar="S", help="choose thresholds for at least this sensitivity")
    how.add_argument("--threshold", type=float, metavar="P", help="use this probability for every class")
    p.add_argument("--uncertain", default="ignore", choices=["ignore", "ones", "zeros"],
                   help="what an uncertain label counts as (ignore)")  # fmt: skip
    p.add_argument("--missing", default="error", choices=["error", "exclude"],
                   help="labelled cases without a prediction: an error, or left out and counted (error)")  # fmt: skip
    p.add_argument("--audit", metavar="AUDIT_JSON", help="audit of the manifest: its baselines stand beside every AUC")
    p.add_argument("--history", metavar="CSV", help="training history, for the training curves of the report")
    p.add_argument("--similarity", metavar="CSV", help="query similarity matrix of the checkpoint, for the report")
    p.add_argument("--gains", metavar="CSV", help="class,gain: drawn against the query similarity")
    p.add_argument("--maps", metavar="DIR", help="where the network looked, written by `maps`, for the report")
    p.add_argument("--confidence", type=float, default=0.95, help="level of the intervals (0.95)")
    p.add_argument("--bootstrap", type=int, default=1000, metavar="N", help="replicates by patient; 0: none (1000)")
    p.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    p.add_argument("--image-root", metavar="FOLDER", help="where the images lie, if not where the manifest says")
    p.add_argument("--no-thumbnails", action="store_true", help="leave the images out of the report")


def diagnose(arguments: argparse.Namespace) -> int:
    """Run `la-medical diagnose`."""
    from la_medical.artifacts import read_json, sha256_of, sha256_of_folder
    from la_medical.diagnosis import Settings, diagnose, read_predictions
    from la_medical.diagnosis.output_files import write_outputs
    from la_medical.errors import InputError
    from la_medical.labels.policy import UncertainPolicy
    from la_medical.manifest import read_manifest
    from la_medical.reports.diagnosis_report import Extras, write_report

    if arguments.bootstrap < 0:
        raise InputError(f"--bootstrap {arguments.bootstrap}: expected 0 or more replicates")
    manifest = read_manifest(arguments.manifest)
    predictions = read_predictions(arguments.predictions)
    result = diagnose(
        manifest,
        predictions,
        split=arguments.split,
        threshold_from=arguments.threshold_from,
        rule=_rule(arguments),
        policy=UncertainPolicy(arguments.uncertain),
        missing=arguments.missing,
        settings=Settings(arguments.confidence, arguments.bootstrap, arguments.seed),
        named=str(arguments.predictions),
    )
    inputs = {
        key: {"file": Path(path).name, "sha256": sha256_of(path)}
        for key in ("predictions", "manifest", "audit", "history", "similarity", "gains")
        if (path := getattr(arguments, key))
    }
    if arguments.maps:
        inputs["maps"] = {"file": Path(arguments.maps).name, "sha256": sha256_of_folder(arguments.maps)}
    extras = Extras(
        audit=read_json(arguments.audit) if arguments.audit else None,
        history=arguments.history,
        similarity=arguments.similarity,
        image_root=arguments.image_root,
        maps=arguments.maps,
        gains=arguments.gains,
        thumbnails=not arguments.no_thumbnails,
    )
    out = Path(arguments.out)
    # the report first: it checks the files of `extras` before it writes anything
    write_report(out, result, manifest=manifest, inputs=inputs, extras=extras)
    write_outputs(result, out, inputs=inputs, command=_command(arguments))
    _print(result, out)
    return 0


def _rule(arguments: argparse.Namespace) -> ThresholdRule:
    from la_medical.diagnosis import ThresholdRule

    if arguments.threshold is not None:
        return ThresholdRule("fixed", arguments.threshold)
    if arguments.specificity is not None:
        return ThresholdRule("specificity", arguments.specificity)
    if arguments.sensitivity is not None:
        return ThresholdRule("sensitivity", arguments.sensitivity)
    return ThresholdRule()


def _command(arguments: argparse.Namespace) -> str:
    """The command with file names only, so that outputs do not tell where they were made."""
    words = ["la-medical diagnose", Path(arguments.predictions).name, "--manifest", Path(arguments.manifest).name]
    words += ["--split", arguments.split, "--threshold-from", arguments.threshold_from]
    for key in ("specificity", "sensitivity", "threshold"):
        if getattr(arguments, key) is not None:
            words += [f"--{key}", f"{getattr(arguments, key):g}"]
    words += ["--uncertain", arguments.uncertain, "--missing", arguments.missing]
    words += ["--confidence", f"{arguments.confidence:g}", "--bootstrap", str(arguments.bootstrap)]
    words += ["--seed", str(arguments.seed)]
    for key in ("audit", "history", "similarity", "gains", "maps"):
        if getattr(arguments, key):
            words += [f"--{key}", Path(getattr(arguments, key)).name]
    return " ".join(words)


def _print(result: Diagnosis, out: Path) -> None:
    from la_medical.diagnosis.sentences import class_sentence

    for caution in result.metrics["cautions"]:
        print(f"caution: {caution}")
    for name, entry in result.metrics["classes"].items():
        print(class_sentence(name, entry))
    mean = result.metrics["mean_auroc"]
    if mean["estimate"] is not None and mean["numerator"] > 1:
        print(f"mean AUC {mean['estimate']:.3f} over {mean['numerator']} of {mean['denominator']} classes")
    print(f"report: {out / 'report.html'}")
