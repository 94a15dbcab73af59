"""Commands on manifests: assemble, audit, split, export."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any


def add_commands(commands: Any) -> None:
    """Add these commands to `commands`, what `argparse` calls subparsers."""
    _add_assemble(commands)
    _add_audit(commands)
    _add_split(commands)
    _add_export(commands)


def _add_assemble(commands: Any) -> None:
    command = commands.add_parser(
        "assemble",
        help="join manifests into one label space",
        description="Join manifests into one label space, unknown where a source does not say. Labels stay the same.",
    )
    command.add_argument("manifests", nargs="+", metavar="M", help="manifests, .csv or .parquet, one or more")
    command.add_argument("--label-space", required=True, metavar="NAME", help="packaged label space, or a YAML file")
    command.add_argument("--out", required=True, metavar="A", help="manifest to write, .csv or .parquet")
    command.add_argument("--drop-unknown", action="store_true", help="leave out classes the label space does not have")
    command.add_argument(
        "--card", action="append", default=[], metavar="FILE", help="card (YAML) of a source that came without one"
    )
    command.set_defaults(run=assemble)


def _add_audit(commands: Any) -> None:
    command = commands.add_parser(
        "audit",
        help="check files, masks, labels, splits and shortcuts of a manifest",
        description="Check a manifest: files, masks, labels, leakage across splits, confounding of source and class, "
        "and what trivial image statistics alone reach. Exit code 1 when a check failed, 0 with warnings only.",
    )
    command.add_argument("manifest", metavar="A", help="manifest, .csv or .parquet")
    command.add_argument("--out", metavar="DIR", help="folder for audit.json and audit.html")
    command.add_argument("--root", metavar="DIR", help="folder of the images instead of the recorded one")
    command.add_argument("--labels-only", action="store_true", help="open no image and no mask")
    command.add_argument("--no-shortcuts", action="store_true", help="leave out the shortcut baseline")
    command.add_argument("--workers", type=int, metavar="N", help="processes that open files (default: all cores)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the shortcut baseline's draw of rows")
    command.set_defaults(run=audit)


def _add_split(commands: Any) -> None:
    command = commands.add_parser(
        "split",
        help="train, val and test by patient",
        description="Fill the column `split` so that no patient, study or (with --pixels) image is in two splits. The "
        "manifest is written in place unless --out is given.",
    )
    command.add_argument("manifest", metavar="A", help="manifest, .csv or .parquet")
    command.add_argument("--val", type=float, default=0.1, metavar="F", help="share of groups for val (default 0.1)")
    command.add_argument("--test", type=float, default=0.2, metavar="F", help="the same for test (default 0.2)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another split (default 0)")
    command.add_argument("--out", metavar="B", help="manifest to write instead of A")
    command.add_argument("--keep-test", action="store_true", help="rows that are test now stay the test split")
    command.add_argument("--previous", metavar="OLD", help="earlier manifest whose cases keep the split they had")
    command.add_argument(
        "--stratify", choices=("stable", "exact"), default="stable",
        help="stable: cases keep their split when rows are added (default); exact: shares as even as groups allow",
    )  # fmt: skip
    command.add_argument("--pixels", action="store_true", help="open the images and keep equal ones together")
    command.add_argument("--workers", type=int, metavar="N", help="processes for --pixels (default: all cores)")
    command.set_defaults(run=split)


def _add_export(commands: Any) -> None:
    command = commands.add_parser(
        "export",
        help="write a manifest for MONAI or nnU-Net",
        description="Write a manifest as a MONAI datalist (DIR/datalist.json) or as an nnU-Net v2 dataset (DIR).",
    )
    command.add_argument("manifest", metavar="A", help="manifest, .csv or .parquet")
    command.add_argument("--to", required=True, choices=("monai", "nnunet"), help="which of the two")
    command.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    command.add_argument("--root", metavar="DIR", help="folder of the images instead of the recorded one")
    command.add_argument("--folds", type=int, metavar="N", help="cross-validation folds by patient (default 5)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the folds (default 0)")
    command.add_argument("--copy", action="store_true", help="nnunet: copy images instead of linking to them")
    command.add_argument(
        "--no-check-files", dest="check_files", action="store_false", help="monai: images may be elsewhere"
    )
    command.set_defaults(run=export)


def assemble(arguments: argparse.Namespace) -> int:
    """Join, write, and say what came together."""
    from la_medical.labels import LabelSpace
    from la_medical.manifest.assemble import assemble as join
    from la_medical.manifest.assemble import assembly_lines, read_for_assembly
    from la_medical.manifest.card import load_card
    from la_medical.manifest.table import check_table_suffix, write_manifest

    check_table_suffix(arguments.out)
    space = LabelSpace.load(arguments.label_space)
    parts = [read_for_assembly(path, space) for path in arguments.manifests]
    cards = [load_card(path) for path in arguments.card]
    assembled = join(parts, space, drop_unknown=arguments.drop_unknown, cards=cards)
    words = ["la-medical", "assemble", *arguments.manifests, "--label-space", arguments.label_space]
    words += ["--drop-unknown"] if arguments.drop_unknown else []
    words += [word for path in arguments.card for word in ("--card", path)]
    write_manifest(assembled, arguments.out, command=shlex.join(words))
    print("\n".join([*assembly_lines(assembled), f"written to {arguments.out}"]))
    return 0


def audit(arguments: argparse.Namespace) -> int:
    """Audit, print the table, write the files if asked; 1 when a check failed."""
    from la_medical.manifest.audit import audit as run_checks
    from la_medical.manifest.audit.reading import read_for_audit
    from la_medical.manifest.audit.render import terminal_lines, write_audit

    manifest, table_checks = read_for_audit(arguments.manifest, root=arguments.root)
    result = run_checks(
        manifest,
        labels_only=arguments.labels_only,
        with_shortcuts=not arguments.no_shortcuts,
        workers=_workers(arguments),
        seed=arguments.seed,
        table_checks=table_checks,
    )
    lines = terminal_lines(result)
    if arguments.out:
        lines += [f"written to {path}" for path in write_audit(result, arguments.out)]
    print("\n".join(lines))
    return 1 if result.failed else 0


def split(arguments: argparse.Namespace) -> int:
    """Split, write, and say how many cases and positives each split has."""
    import pandas as pd

    from la_medical.manifest.split import split as deal
    from la_medical.manifest.split import split_lines
    from la_medical.manifest.table import check_table_suffix, read_manifest, write_manifest

    out = arguments.out or arguments.manifest
    check_table_suffix(out)
    manifest = read_manifest(arguments.manifest)
    pixels = None
    if arguments.pixels:
        from la_medical.manifest.audit.inspection import pixel_fingerprints

        pixels = pd.Series(pixel_fingerprints(manifest, workers=_workers(arguments)), dtype=str)
    done = deal(
        manifest,
        arguments.val,
        arguments.test,
        arguments.seed,
        keep_test=arguments.keep_test,
        previous=read_manifest(arguments.previous) if arguments.previous else None,
        stratify_by=arguments.stratify,
        pixels=pixels,
    )
    write_manifest(done, out, command=_split_command(arguments))
    print("\n".join([*split_lines(done, manifest), f"written to {out}"]))
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Export and say what was written and what was left out."""
    from la_medical.manifest.export import export_monai, export_nnunet
    from la_medical.manifest.table import read_manifest

    manifest = read_manifest(arguments.manifest, root=arguments.root)
    if arguments.to == "monai":
        lines = export_monai(
            manifest, arguments.out, folds=arguments.folds, seed=arguments.seed, check_files=arguments.check_files
        )
    else:
        lines = export_nnunet(manifest, arguments.out, folds=arguments.folds, seed=arguments.seed, copy=arguments.copy)
    print("\n".join(lines))
    return 0


def _workers(arguments: argparse.Namespace) -> int:
    from la_medical.errors import InputError

    if arguments.workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: expected 1 or more")
    return int(arguments.workers)


def _split_command(arguments: argparse.Namespace) -> str:
    """The command as recorded in the JSON: all that decides the table."""
    words = ["la-medical", "split", arguments.manifest, "--val", f"{arguments.val:g}", "--test", f"{arguments.test:g}"]
    words += ["--seed", str(arguments.seed)]
    words += ["--keep-test"] if arguments.keep_test else []
    words += ["--previous", arguments.previous] if arguments.previous else []
    words += ["--stratify", arguments.stratify] if arguments.stratify != "stable" else []
    words += ["--pixels"] if arguments.pixels else []
    return shlex.join(words)
