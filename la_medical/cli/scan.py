"""Commands of the command line: scan."""

from __future__ import annotations

import argparse
from typing import Any


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "scan",
        help="DICOM tree to a table of series, every fault of their geometry named",
        description="Read every file below DICOM_ROOT and write one row a DICOM series, one row a file beside it, "
        "and a JSON with the counts. Run again, it reads only what is new. See docs/reference/dicom_scan.md.",
    )
    p.add_argument("root", metavar="DICOM_ROOT", help="folder of DICOM files, named and nested in any way")
    p.add_argument("--out", required=True, metavar="SERIES", help="the table to write: .csv or .parquet")
    p.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    p.add_argument("--scheduler", metavar="ADDRESS", help="read on a Dask cluster instead, e.g. tcp://host:8786")
    p.add_argument(
        "--pseudonymise", metavar="KEYFILE", help="replace identifiers by keyed ones, shift dates, drop free text"
    )
    p.add_argument(
        "--phase-order",
        metavar="PHASES",
        help="contrast phases to select a study's series by, best first, separated by commas "
        "(default: portal_venous,pancreatic,delayed,arterial,unknown,native); a phase left out is not selected",
    )
    p.set_defaults(run=_scan)


def _scan(arguments: argparse.Namespace) -> None:
    from la_medical.dicom.phase import DEFAULT_ORDER
    from la_medical.dicom.pseudonyms import read_key
    from la_medical.dicom.scan import scan

    order = arguments.phase_order.split(",") if arguments.phase_order is not None else DEFAULT_ORDER
    about = scan(
        arguments.root,
        arguments.out,
        workers=arguments.workers,
        scheduler=arguments.scheduler,
        pseudonyms=read_key(arguments.pseudonymise) if arguments.pseudonymise else None,
        phase_order=[phase.strip() for phase in order],
    )
    counts = about["counts"]
    print(
        f"{arguments.out}: {counts['series']} series of {counts['files']} files, {counts['readable']} readable volumes"
    )
    print("files: " + (", ".join(f"{count} {name}" for name, count in counts["outcomes"].items()) or "none"))
    if counts["faults"]:
        print("series with faults: " + ", ".join(f"{count} {name}" for name, count in counts["faults"].items()))
