"""`la-medical subset`: a part of a manifest, by patient, split or class."""

from __future__ import annotations

import argparse
import shlex
from typing import Any


def add_commands(commands: Any) -> None:
    """Add `subset` to `commands`, what `argparse` calls subparsers."""
    command = commands.add_parser(
        "subset",
        help="a part of a manifest: some patients, splits or classes",
        description="Write a part of a manifest. Classes that are left out become unknown, so that two parts with "
        "different classes and patients are two partially labelled sources of one fully labelled set.",
    )
    command.add_argument("manifest", metavar="M")
    command.add_argument("--out", metavar="PART", required=True, help="manifest to write, .csv or .parquet")
    command.add_argument("--patients", metavar="I/N", help="the I-th of N shares of the patients, such as 1/2")
    command.add_argument("--classes", metavar="A,B", help="label columns to keep")
    command.add_argument("--split", metavar="A,B", help="rows of these splits only")
    command.add_argument("--source", metavar="NAME", help="new name of the source")
    command.add_argument("--seed", type=int, default=0, help="of the patients' shares (default 0)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the part and print how many cases each class and split has."""
    from la_medical.manifest.subset import subset
    from la_medical.manifest.summary import summary_lines
    from la_medical.manifest.table import read_manifest, write_manifest

    part = subset(
        read_manifest(arguments.manifest),
        patients=_share(arguments.patients),
        splits=_names(arguments.split),
        classes=_names(arguments.classes),
        source=arguments.source,
        seed=arguments.seed,
    )
    write_manifest(part, arguments.out, command=_command(arguments))
    print("\n".join([*summary_lines(part), f"written to {arguments.out}"]))


def _share(text: str | None) -> tuple[int, int] | None:
    from la_medical.errors import InputError

    if text is None:
        return None
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise InputError(f"--patients {text!r}: expected I/N, such as 1/2 for the first half")
    return int(index), int(count)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _command(arguments: argparse.Namespace) -> str:
    words = ["la-medical", "subset", arguments.manifest]
    for name in ("patients", "classes", "split", "source"):
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name}", value]
    return shlex.join([*words, "--seed", str(arguments.seed)])
