"""`la-medical manifest`: a source in its official layout to a manifest."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {
    "val_fraction": {
        "type": float,
        "metavar": "F",
        "help": "share of the official training patients that become validation (default 0.1); 0 for none",
    },
    "seed": {"type": int, "metavar": "N", "help": "of the choice of validation patients (default 0)"},
    "images_out": {
        "metavar": "DIR",
        "help": "where images packed in arrays are written as PNG (default: <name of M>_images beside M)",
    },
    "set_name": {"flag": "--set", "metavar": "NAME", "help": "which MedMNIST set a renamed file holds"},
    "labeler": {"choices": ("chexpert", "negbio"), "help": "whose labels of MIMIC-CXR (default chexpert)"},
    "nih_mapping": {"metavar": "FILE", "help": "RSNA's JSON that maps its images to those of NIH"},
    "source_name": {"metavar": "NAME", "help": "name of the source (default: name of the folder)"},
    "label_space": {"metavar": "NAME", "help": "packaged label space or YAML file that has the classes"},
    "patient_pattern": {"metavar": "REGEX", "help": "first group found in an image's path is its patient"},
    "table": {"metavar": "FILE", "help": "the CSV of image_table (default: the only one in ROOT)"},
    "image_column": {"metavar": "COL", "help": "column of the image path (default image)"},
    "patient_column": {"metavar": "COL", "help": "column of the patient (default patient_id)"},
    "split_column": {"metavar": "COL", "help": "column of the split (default split)"},
    "label_columns": {"metavar": "A,B", "help": "columns of labels 1, 0, -1 or blank (default: all label.<class>)"},
    "class_column": {"metavar": "COL", "help": "column that names the class of each image"},
    "image_pattern": {"metavar": "P", "help": "path of an image, such as '{case}/ct.nii.gz'"},
    "mask_pattern": {"metavar": "P", "help": "path of its mask, such as '{case}/tumour.nii.gz'"},
    "mask_values": {"metavar": "V", "help": "what mask values mean, such as 1=pdac,2=cyst+tumour"},
    "unlabelled": {"action": "store_true", "help": "take images without masks too"},
    "masks_out": {
        "metavar": "DIR",
        "help": "where masks of single organs are merged, and those of NIH Pancreas-CT turned onto their images "
        "(default: <name of M>_masks beside M)",
    },
    "classes": {"metavar": "A,B", "help": "at most eight organs to merge (default: the first eight of the card)"},
    "series": {"metavar": "FILE", "help": "series table of `la-medical scan` (default: scan ROOT)"},
    "segments": {"metavar": "V", "help": "names of drawn segments that are no class, such as GTV_1=pdac,Panc=pancreas"},
    "pathology": {"metavar": "FILE", "help": "CSV that gives each patient's diagnosis"},
    "pseudonymise": {"metavar": "KEYFILE", "help": "identifiers become keyed ones, also those of --pathology"},
}
"""Options that some sources take, passed on to the reader when they are given."""


def add_commands(commands: Any) -> None:
    """Add `manifest` to `commands`, what `argparse` calls subparsers."""
    command = commands.add_parser(
        "manifest",
        help="read a data set in its official layout and write a manifest",
        description="Read a data set in its official layout and write a manifest: a table, CSV or Parquet by suffix "
        "of --out, and a JSON beside it. `la-medical manifest --list` names the sources and their options.",
    )
    command.add_argument("source", nargs="?", metavar="SOURCE", help="name of the source, see --list")
    command.add_argument("root", nargs="?", metavar="ROOT", help="folder (or file) as it was published")
    command.add_argument("--list", action="store_true", help="name the sources, their layouts and options, and end")
    command.add_argument("--out", metavar="M", help="manifest to write, .csv or .parquet")
    command.add_argument(
        "--no-check-files", dest="check_files", action="store_false", help="read labels alone; images may be elsewhere"
    )
    command.add_argument("--card", metavar="FILE", help="a card of your own (YAML) instead of the packaged one")
    own = command.add_argument_group("options of some sources")
    for name, settings in OPTIONS.items():
        own.add_argument(_flag(name), dest=name, default=None, **{k: v for k, v in settings.items() if k != "flag"})
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the manifest and print how many cases each class and split has."""
    from la_medical.errors import ManifestError
    from la_medical.manifest.card import load_card
    from la_medical.manifest.sources import read_source, source_options
    from la_medical.manifest.summary import summary_lines
    from la_medical.manifest.table import write_manifest
    from la_medical.manifest.table_files import check_table_suffix

    if arguments.list:
        return _list()
    for name in ("source", "root", "out"):
        if getattr(arguments, name) is None:
            wanted = "--out M" if name == "out" else name.upper()
            raise ManifestError(f"{wanted} is missing; expected: la-medical manifest SOURCE ROOT --out M (or --list)")
    check_table_suffix(arguments.out)
    options = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    if arguments.card:
        options["card"] = load_card(arguments.card)
    out = Path(arguments.out)
    for folder in ("images", "masks"):
        if f"{folder}_out" in source_options(arguments.source):
            options.setdefault(f"{folder}_out", out.parent / f"{out.stem}_{folder}")
    manifest = read_source(arguments.source, arguments.root, check_files=arguments.check_files, **options)
    write_manifest(manifest, arguments.out, command=_command(arguments))
    print("\n".join([*summary_lines(manifest), f"written to {arguments.out}"]))
    return 0


def _flag(name: str) -> str:
    return OPTIONS.get(name, {}).get("flag", "--" + name.replace("_", "-"))


def _list() -> int:
    from la_medical.manifest.sources import SOURCES, source_options

    for name, layout in SOURCES.items():
        print(f"{name}\n    {layout}")
        own = [option for option in source_options(name) if option in OPTIONS]
        if own:
            print("    options: " + ", ".join(_flag(option) for option in own))
    return 0


def _command(arguments: argparse.Namespace) -> str:
    """The command as recorded in the JSON: all that decides the table, so not where it was written.

    Under pseudonyms no path is recorded: archives name folders after patients.
    """
    hidden = {"pathology": "FILE", "series": "FILE", "pseudonymise": "KEYFILE"} if arguments.pseudonymise else {}
    words = ["la-medical", "manifest", arguments.source, "ROOT" if hidden else arguments.root]
    if not arguments.check_files:
        words.append("--no-check-files")
    for name in ("card", *OPTIONS):
        value = getattr(arguments, name)
        if value is not None:
            words += [_flag(name)] if value is True else [_flag(name), hidden.get(name, str(value))]
    return shlex.join(words)
