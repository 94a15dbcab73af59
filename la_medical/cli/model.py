"""Commands about models: `queries`, `add-class`, `bundles`, `doctor`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "queries",
        help="how similar the learned class queries are",
        description="Cosine similarity between the learned queries of a checkpoint, 1 for the same direction.",
    )
    p.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.pt of a training")
    p.add_argument("--out", type=Path, metavar="CSV", help="write the table to a file, not to the screen")
    p.add_argument("--figure", type=Path, metavar="FILE", help="write a heat map, .svg or .png")
    p.set_defaults(run=_queries)

    p = commands.add_parser(
        "add-class",
        help="give a checkpoint one more class to learn",
        description="Copy a checkpoint with one more class; the answers to the old ones stay the same bit for bit. "
        "Train it with `--initial_weights`.",
    )
    p.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.pt of a training")
    p.add_argument("name", metavar="CLASS", help="the class to add, lower snake case")
    p.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT", help="the file to write")
    p.add_argument("--grow", action="store_true", help="make room where no query row is free")
    p.add_argument("--label-space", metavar="NAME", help="take the class's spellings and relations from this space")
    p.set_defaults(run=_add_class)

    p = commands.add_parser(
        "bundles",
        help="where the MONAI bundles lie, or copies of them",
        description="Print the folder of one MONAI bundle or of each, for --bundle_root; or copy them to change them.",
    )
    p.add_argument("name", nargs="?", metavar="BUNDLE", help="one bundle only, such as chest_xray_classification")
    p.add_argument("--copy", type=Path, metavar="DIR", help="copy the bundles into this folder")
    p.set_defaults(run=_bundles)

    p = commands.add_parser(
        "doctor",
        help="versions, device, and what is missing",
        description="Versions of what this package uses, the device it would train on, and what is missing. "
        "Exit code 1 if something needed is missing.",
    )
    p.set_defaults(run=_doctor)


def _queries(arguments: argparse.Namespace) -> None:
    from la_medical.artifacts import write_text
    from la_medical.errors import InputError
    from la_medical.networks.checkpoint import load_checkpoint
    from la_medical.networks.query_similarity import query_similarity

    if arguments.figure and arguments.figure.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"--figure {arguments.figure}: expected a name that ends in .svg or .png")
    checkpoint = load_checkpoint(arguments.checkpoint)
    table = query_similarity(checkpoint)
    if arguments.figure:
        _heat_map(table, arguments.figure)
    if arguments.out:
        write_text(arguments.out, table.to_csv(lineterminator="\n", float_format="%.9g"))
    else:
        print(table.to_string(float_format=lambda value: f"{value:.3f}"))


def _heat_map(table: Any, path: Path) -> None:
    from la_medical.artifacts import write_text, written_whole
    from la_medical.reports.training_figures import query_similarity

    drawing = query_similarity(table)
    if path.suffix.lower() == ".svg":
        write_text(path, drawing.svg)
        return
    with written_whole(path) as temporary:
        temporary.write_bytes(drawing.png)


def _add_class(arguments: argparse.Namespace) -> None:
    from la_medical.errors import InputError
    from la_medical.networks.added_class import with_added_class
    from la_medical.networks.checkpoint import load_checkpoint, save_checkpoint

    if arguments.out.resolve() == arguments.checkpoint.resolve():
        raise InputError(f"--out {arguments.out} is the checkpoint itself; give another file")
    before = load_checkpoint(arguments.checkpoint)
    after = with_added_class(before, arguments.name, grow=arguments.grow, label_space=arguments.label_space)
    save_checkpoint(
        arguments.out,
        network=after.state_dict,
        label_space=after.label_space,
        network_config=after.network_config,
        provenance=after.provenance,
    )
    print(f"{arguments.out}: {len(after.classes)} classes, {after.classes[-1]} not trained yet")


def _bundles(arguments: argparse.Namespace) -> None:
    import shutil

    from la_medical.errors import InputError
    from la_medical.resources import bundles_folder

    folders = sorted(path.parent.parent for path in bundles_folder().glob("*/configs/metadata.json"))
    if arguments.name is not None:
        names = ", ".join(folder.name for folder in folders)
        folders = [folder for folder in folders if folder.name == arguments.name]
        if not folders:
            raise InputError(f"no bundle {arguments.name!r}; there are: {names}")
    if arguments.copy is None:
        for folder in folders:
            print(folder)
        return
    for folder in folders:
        target = arguments.copy / folder.name
        if target.exists():
            raise InputError(f"{target} exists already; remove it, or give another folder to --copy")
    for folder in folders:
        target = arguments.copy / folder.name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        print(target)


NEEDED = (
    "torch", "monai", "pytorch-ignite", "fire", "jsonschema", "einops", "numpy", "pandas", "pyarrow", "PyYAML",
    "pillow", "scipy", "scikit-learn", "scikit-image", "connected-components-3d", "nibabel", "SimpleITK", "pydicom",
    "highdicom", "openpyxl", "matplotlib", "Jinja2", "tqdm", "threadpoolctl",
)  # fmt: skip
OPTIONAL = {
    "tensorboard": "tensorboard: true in a training config",
    "mlflow-skinny": "--tracking mlflow",
    "sqlalchemy": "--tracking mlflow into a file",
    "alembic": "--tracking mlflow into a file",
    "onnx": "export-network to ONNX",
    "onnxscript": "export-network to ONNX",
    "onnxruntime": "inference from ONNX",
    "dicomweb-client": "pacs query, pull, push",
    "pynetdicom": "pacs push by C-STORE",
    "ipyniivue": "view",
    "dask": "scan and detect on several machines",
    "distributed": "scan and detect on several machines",
    "pylibjpeg": "compressed DICOM",
    "pylibjpeg-openjpeg": "compressed DICOM",
    "python-gdcm": "compressed DICOM",
    "pyjpegls": "compressed DICOM",
}
"""Packages of the extras that users install to what each is for."""


def _doctor(arguments: argparse.Namespace) -> int:
    import os
    import platform
    from importlib import metadata

    from la_medical import __version__
    from la_medical.resources import bundles_folder, label_spaces_folder

    python, cores = platform.python_version(), os.cpu_count()
    print(f"la_medical {__version__}, Python {python}, {platform.platform()}, {cores} cores")
    missing = []
    for name in NEEDED:
        try:
            print(f"  {name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    for name, use in OPTIONAL.items():
        try:
            print(f"  {name} {metadata.version(name)} ({use})")
        except metadata.PackageNotFoundError:
            print(f"  {name} is not installed; only for {use}")
    for folder in (bundles_folder(), label_spaces_folder()):
        if not folder.is_dir():
            missing.append(str(folder))
    if "torch" not in missing:
        _print_device()
    for name in missing:
        print(f"missing: {name}; install la_medical again with pip", file=sys.stderr)
    return 1 if missing else 0


def _print_device() -> None:
    import torch

    from la_medical.training.trainer import computes_bfloat16

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            print(f"  GPU {number}: {about.name}, {about.total_memory / 2**30:.0f} GiB")
    else:
        computes = "computes" if computes_bfloat16(torch.device("cpu")) else "does not compute"
        print(f"  no GPU: trains on the CPU with {torch.get_num_threads()} threads; it {computes} bfloat16 (amp)")
