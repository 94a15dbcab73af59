"""Commands detect, operating-point, evaluate, compare and sample-size."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from la_medical.errors import InputError


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    _add_detect(commands)
    _add_operating_point(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_sample_size(commands)


def _add_detect(commands: Any) -> None:
    p = commands.add_parser(
        "detect",
        help="find the candidates in prediction files and match them to the reference",
        description="Read the predictions of every labelled case, find candidates, match them to reference lesions, "
        "and write candidates.parquet, lesions.parquet, patients.parquet and protocol.json. An interrupted run goes on "
        "when the same command is given again.",
    )
    p.add_argument(
        "predictions",
        type=Path,
        help="folder of predictions (NIfTI, nnU-Net, DICOM SEG), or a table with case_id and prob.<class>",
    )
    p.add_argument("--manifest", type=Path, required=True, help="manifest with the labels, CSV or Parquet")
    p.add_argument("--out", type=Path, required=True, help="folder for the tables")
    p.add_argument("--split", default="val,test", help="splits, joined by commas, or all (default %(default)s)")
    p.add_argument("--classes", help="classes to evaluate, joined by commas (default: what both sides have)")
    p.add_argument("--root", type=Path, help="folder of images and masks, instead of the manifest's own")
    p.add_argument("--protocol", choices=("default", "picai"), default="default",
                   help="picai: picai_eval's lesion lists exactly")  # fmt: skip
    p.add_argument("--extraction", choices=("static", "dynamic", "dynamic-fast", "detection-map"))
    p.add_argument("--threshold", type=float, help="of static extraction (default 0.1)")
    p.add_argument("--confidence", choices=("max", "mean", "sum"), help="of a candidate (default max)")
    p.add_argument("--min-volume", type=float, metavar="MM3", help="smaller candidates are dropped (default 0)")
    p.add_argument("--min-voxels", type=int, help="candidates of fewer voxels are dropped (default 1)")
    p.add_argument("--connectivity", type=int, choices=(6, 18, 26), help="neighbours of a voxel (default 26)")
    p.add_argument("--match", choices=("iou", "dice", "any", "centre"), help="rule of a found lesion (default iou)")
    p.add_argument("--match-threshold", type=float, help="smallest IoU or Dice (default 0.1)")
    p.add_argument("--distance", type=float, metavar="MM", help="with --match centre: also within this distance")
    p.add_argument("--duplicates", choices=("ignore", "false_positive"),
                   help="second candidate on one lesion (default ignore, as picai_eval)")  # fmt: skip
    p.add_argument("--score", choices=("max_candidate", "max_voxel", "volume"), help="of a patient")
    p.add_argument("--missing", choices=("error", "negative", "exclude"), help="cases without prediction")
    p.add_argument("--uncertain", choices=("ignore", "ones", "zeros"), help="uncertain labels (default ignore)")
    p.add_argument("--resample", action="store_true", help="resample predictions of another geometry, and record it")
    p.add_argument("--mask-values", metavar="1=CLASS,...", help="meaning of reference values, instead of the card's")
    p.add_argument("--prediction-values", metavar="1=CLASS,...", help="predictions are label maps of these values")
    p.add_argument("--workers", type=int, help="processes (default: all cores)")
    p.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler instead of processes of this machine")
    p.set_defaults(run=_detect)


def _add_operating_point(commands: Any) -> None:
    p = commands.add_parser(
        "operating-point",
        help="choose a score threshold on validation",
        description="Choose a threshold for a wanted specificity or sensitivity and save it. Exit code 1 when the "
        "target cannot be reached: the nearest point is saved and says so.",
    )
    p.add_argument("candidates", type=Path, help="folder written by detect")
    p.add_argument("--class", dest="name", required=True, help="class, or any for any lesion")
    target = p.add_mutually_exclusive_group(required=True)
    target.add_argument("--specificity", type=float)
    target.add_argument("--sensitivity", type=float)
    p.add_argument("--split", default="val")
    p.add_argument("--controls", default="all", help="all, normal, or classes joined by commas (default %(default)s)")
    p.add_argument("--score", choices=("max_candidate", "max_voxel", "volume"), help="of a patient")
    p.add_argument("--min-volume", type=float, default=0.0, metavar="MM3", help="smaller candidates do not count")
    p.add_argument("--out", type=Path, required=True, help="JSON file for the point")
    p.set_defaults(run=_operating_point)


def _add_evaluate(commands: Any) -> None:
    p = commands.add_parser(
        "evaluate",
        help="sensitivity, specificity and all other figures, with intervals",
        description="Apply saved operating points unchanged to one split and write metrics.json, the tables behind it "
        "and report.html. Ends with the sentence one would quote.",
    )
    p.add_argument("candidates", type=Path, help="folder written by detect")
    p.add_argument("--operating-point", type=Path, action="append", default=[], metavar="POINT",
                   help="written by operating-point; may be given once a class")  # fmt: skip
    p.add_argument("--split", default="test", help="split, or all (default %(default)s)")
    p.add_argument("--out", type=Path, required=True, help="folder")
    p.add_argument("--manifest", type=Path, help="for the pictures of the report (default: where detect found it)")
    p.add_argument("--predictions", type=Path, help="for the outlines in the report (default: where detect found them)")
    p.add_argument("--audit", type=Path, metavar="AUDIT_JSON", help="audit of the manifest: its cautions are told")
    p.add_argument("--history", type=Path, metavar="CSV", help="training history, for the curves of the report")
    p.add_argument("--similarity", type=Path, metavar="CSV", help="what `queries --out` writes, for the report")
    p.add_argument("--gains", type=Path, metavar="CSV", help="class,gain: drawn against the query similarity")
    p.add_argument("--controls", help="instead of those the point was chosen with")
    p.add_argument("--prevalence", type=float, help="state PPV and NPV at this prevalence, such as 0.01")
    p.add_argument("--bootstraps", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--confidence", type=float, default=0.95)
    p.set_defaults(run=_evaluate)


def _add_compare(commands: Any) -> None:
    p = commands.add_parser(
        "compare",
        help="two models on the same patients",
        description="Paired tests between two folders written by evaluate: McNemar, DeLong, bootstrap; Holm over all.",
    )
    p.add_argument("a", type=Path, metavar="DIR_A")
    p.add_argument("b", type=Path, metavar="DIR_B")
    p.add_argument("--out", type=Path, required=True, help="folder for comparison.json and report.html")
    p.add_argument("--margin", type=float, help="non-inferiority margin, such as 0.05")
    p.add_argument("--bootstraps", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--confidence", type=float, default=0.95)
    p.set_defaults(run=_compare)


def _add_sample_size(commands: Any) -> None:
    p = commands.add_parser(
        "sample-size",
        help="patients that a planned study needs",
        description="Patients of one kind, for an interval of a given half width or for an exact lower bound.",
    )
    p.add_argument("--expected", type=float, required=True, help="expected sensitivity or specificity, such as 0.9")
    target = p.add_mutually_exclusive_group(required=True)
    target.add_argument("--half-width", type=float, help="of the Wilson interval, such as 0.05")
    target.add_argument("--lower-bound", type=float, help="the exact interval shall lie above it")
    p.add_argument("--power", type=float, default=0.8)
    p.add_argument("--confidence", type=float, default=0.95)
    p.add_argument("--prevalence", type=float, help="also the consecutive patients to include")
    p.set_defaults(run=_sample_size)


def _detect(arguments: argparse.Namespace) -> None:
    from la_medical.detection.plan import detect_manifest, picai_protocol
    from la_medical.detection.protocol import Protocol

    names = {
        "extraction": "extraction", "threshold": "threshold", "confidence": "confidence",
        "min_volume": "min_volume_mm3", "min_voxels": "min_voxels", "connectivity": "connectivity", "match": "match",
        "match_threshold": "match_threshold", "distance": "distance_mm", "duplicates": "duplicates", "score": "score",
        "missing": "missing", "uncertain": "uncertain",
    }  # fmt: skip
    given = {setting: getattr(arguments, option) for option, setting in names.items()}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings["resample"] = arguments.resample
    protocol = picai_protocol(**settings) if arguments.protocol == "picai" else Protocol(**settings)
    if arguments.workers is not None and arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: expected at least 1")
    counts = detect_manifest(
        arguments.predictions,
        arguments.manifest,
        arguments.out,
        protocol=protocol,
        classes=arguments.classes.split(",") if arguments.classes else None,
        splits=arguments.split.split(","),
        root=arguments.root,
        mask_values=_values(arguments.mask_values, "--mask-values"),
        prediction_values=_values(arguments.prediction_values, "--prediction-values"),
        workers=arguments.workers,
        scheduler=arguments.scheduler,
    )
    print(f"{counts['ok']} cases, {counts['missing']} without prediction, {counts['failed']} not readable")
    print(f"Candidates: {arguments.out}")


def _values(text: str | None, option: str) -> dict[int, str] | None:
    if text is None:
        return None
    try:
        return {int(value): name.strip() for value, name in (pair.split("=") for pair in text.split(","))}
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected VALUE=CLASS joined by commas, such as 1=pdac,2=cyst") from error


def _operating_point(arguments: argparse.Namespace) -> int:
    from la_medical.detection.operating_point import choose, write_point
    from la_medical.detection.tables import read_candidates

    point = choose(
        read_candidates(arguments.candidates),
        arguments.name,
        specificity=arguments.specificity,
        sensitivity=arguments.sensitivity,
        split=arguments.split,
        controls=arguments.controls,
        score=arguments.score,
        min_volume_mm3=arguments.min_volume,
    )
    write_point(point, arguments.out)
    for kind, figure in point.achieved.items():
        print(f"{kind} {figure['estimate']:.4f} ({figure['numerator']}/{figure['denominator']}, "
              f"95% CI {figure['low']:.4f}-{figure['high']:.4f})")  # fmt: skip
    print(f"Threshold {point.threshold!r} for {point.name}: {arguments.out}")
    if not point.reached:
        print(point.missed)
    return 0 if point.reached else 1


def _evaluate(arguments: argparse.Namespace) -> None:
    from la_medical.detection.all_candidates import in_words
    from la_medical.detection.evaluate import evaluate, write_evaluation
    from la_medical.detection.resampling import Settings

    settings = Settings(arguments.bootstraps, arguments.seed, arguments.confidence, arguments.prevalence)
    evaluation = evaluate(
        arguments.candidates,
        points=arguments.operating_point,
        split=arguments.split,
        controls=arguments.controls,
        settings=settings,
    )
    write_evaluation(evaluation, arguments.out)
    report = _report(arguments, evaluation.metrics)
    print(f"Figures: {arguments.out / 'metrics.json'}")
    print(f"Report: {report}")
    if evaluation.metrics["phantom"]:
        print("PHANTOM data: the figures say that the steps work, nothing about patients.")
    for one in evaluation.sentences:
        print(one)
    if not evaluation.sentences:
        for name, entry in evaluation.metrics["classes"].items():
            print(
                in_words(name, entry["all_candidates"], evaluation.metrics["protocol"]) or f"{name}: no lesion is drawn"
            )
        print("No operating point was given, so no sensitivity by patient can be quoted; choose one on validation")


def _report(arguments: argparse.Namespace, metrics: dict[str, Any]) -> Path:
    """The HTML report, with pictures where the manifest that `detect` read is still there, unchanged."""
    from la_medical.artifacts import read_json, sha256_of
    from la_medical.detection.tables import read_candidates
    from la_medical.reports.detection_report import write_report

    folder = read_candidates(arguments.candidates)
    about = folder.protocol["manifest"]
    manifest = arguments.manifest or arguments.candidates / about.get("path", "")
    predictions = arguments.predictions or arguments.candidates / folder.protocol.get("predictions", "")
    there = manifest.is_file() and (arguments.manifest is not None or sha256_of(manifest) == about["sha256"])
    return write_report(
        arguments.out,
        metrics=metrics,
        candidates=folder,
        manifest=manifest if there else None,
        predictions=predictions if there and predictions.exists() else None,
        audit=read_json(arguments.audit) if arguments.audit else None,
        training={key: getattr(arguments, key) for key in ("history", "similarity", "gains")},
        inputs=_inputs(arguments),
    )


def _inputs(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Name and sha256 of each file that only the report reads."""
    from la_medical.artifacts import sha256_of

    given = {key: getattr(arguments, key) for key in ("audit", "history", "similarity", "gains")}
    return {key: {"file": path.name, "sha256": sha256_of(path)} for key, path in given.items() if path}


def _compare(arguments: argparse.Namespace) -> None:
    from la_medical.detection.compare import compare, write_comparison
    from la_medical.reports.comparison_report import write_report

    content = compare(
        arguments.a, arguments.b, margin=arguments.margin, bootstraps=arguments.bootstraps, seed=arguments.seed,
        confidence=arguments.confidence,
    )  # fmt: skip
    write_comparison(content, arguments.out)
    report = write_report(arguments.out, content, arguments.a, arguments.b)
    for name, endpoints in content["classes"].items():
        for endpoint, one in endpoints.items():
            if one["estimate"] is None:
                print(f"{name} {endpoint}: undefined ({one['reason']})")
                continue
            shown = [f"{one[key]:+.4f}" if one[key] is not None else "?" for key in ("estimate", "low", "high")]
            p_value = "?" if one["p_value"] is None else f"{one['p_value']:.4g} (Holm {one['p_holm']:.4g})"
            print(f"{name} {endpoint}: a - b = {shown[0]} ({shown[1]} to {shown[2]}), p = {p_value}")
    print(f"Comparison: {arguments.out / 'comparison.json'}")
    print(f"Report: {report}")


def _sample_size(arguments: argparse.Namespace) -> None:
    from la_medical.statistics.sample_size import cohort, for_lower_bound, for_width

    if arguments.half_width is not None:
        count = for_width(arguments.expected, arguments.half_width, confidence=arguments.confidence)
        wanted = f"interval of at most +-{arguments.half_width:g} around {arguments.expected:g}"
    else:
        count = for_lower_bound(
            arguments.expected, arguments.lower_bound, power=arguments.power, confidence=arguments.confidence
        )
        wanted = f"lower bound {arguments.lower_bound:g} with power {arguments.power:g}"
    lines = [f"{count} patients: {wanted}"]
    if arguments.prevalence is not None:
        lines.append(
            f"{cohort(count, arguments.prevalence)} consecutive patients at prevalence {arguments.prevalence:g}"
        )
    print("\n".join(lines))
