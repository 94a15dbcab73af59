"""Command of the command line: structured-report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "structured-report",
        help="DICOM SEG and structured report of what a model found, to send back to an archive",
        description="Find the candidates of each predicted case, and write OUT/<case_id>/segmentation.dcm (a segment "
        "for each candidate) and report.dcm (TID 1500: volume, diameter, confidence). Labels are not needed. Send the "
        "folder with `la-medical pacs push`. See docs/reference/pacs.md.",
    )
    p.add_argument("predictions", type=Path, help="folder of predictions")
    p.add_argument("--manifest", type=Path, required=True, help="manifest of the predicted cases")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    p.add_argument("--series", type=Path, metavar="SERIES",
                   help="series table of `scan` that the manifest was made from, if images are no DICOM")  # fmt: skip
    p.add_argument("--dicom-root", type=Path, help="the folder that was scanned (default: as the series table says)")
    p.add_argument("--key", type=Path, metavar="KEYFILE", help="of a series table written with scan --pseudonymise")
    p.add_argument("--operating-point", type=Path, action="append", default=[], metavar="POINT",
                   help="report only what reaches the point of its class; may be given once a class")  # fmt: skip
    p.add_argument("--classes", help="classes to report, joined by commas (default: those of the points, else all)")
    p.add_argument("--split", help="rows of one split only")
    p.add_argument("--root", type=Path, help="folder of the images, instead of the manifest's own")
    p.add_argument("--label-space", metavar="NAME", help="where the classes' codes stand (default: the manifest's own)")
    p.add_argument("--most", type=int, default=10, metavar="N", help="candidates of a class (default %(default)s)")
    p.add_argument("--algorithm", default="la_medical", metavar="NAME", help="name of the model, in both files")
    p.set_defaults(run=_structured_report)


def _structured_report(arguments: argparse.Namespace) -> None:
    from la_medical.detection.operating_point import read_point
    from la_medical.labels import LabelSpace
    from la_medical.manifest import read_manifest
    from la_medical.reports.structured_reports import series_of_cases, write_structured_reports

    space = LabelSpace.load(arguments.label_space) if arguments.label_space else None
    manifest = read_manifest(arguments.manifest, root=arguments.root, space=space)
    sources = None
    if arguments.series:
        sources = series_of_cases(manifest, arguments.series, arguments.dicom_root, arguments.key)
    done = write_structured_reports(
        arguments.predictions,
        manifest,
        arguments.out,
        sources=sources,
        classes=arguments.classes.split(",") if arguments.classes else None,
        points=[read_point(path) for path in arguments.operating_point],
        split=arguments.split,
        most=arguments.most,
        algorithm=arguments.algorithm,
    )
    findings, left_out = sum(one.findings for one in done), sum(one.left_out for one in done)
    print(
        f"{arguments.out}: {len(done)} reports, {findings} findings in {sum(one.findings > 0 for one in done)} of them"
    )
    if left_out:
        print(f"{left_out} less confident candidates left out; --most keeps more of a class")
