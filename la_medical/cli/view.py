"""Commands that show: `maps` (where a classifier looked) and `view` (one volume in a page)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from la_medical.errors import InputError


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "maps",
        help="where a classifier looked, one small picture a case and class",
        description="Write each class query's own map, DIR/<case_id>/<class>.png, for `diagnose --maps DIR`.",
    )
    p.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.pt of a training on 2D images")
    p.add_argument("--manifest", type=Path, required=True, help="manifest with the images")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    p.add_argument("--split", default="test", help="split, or all (default %(default)s)")
    p.add_argument("--limit", type=int, metavar="N", help="the first N cases only")
    p.set_defaults(run=_maps)

    p = commands.add_parser(
        "view",
        help="a full volume with reference and prediction as one HTML page",
        description="Write a self-contained page that shows a case in NiiVue: image, reference mask and, if given, "
        "the predictions. Opens without a network. Needs the extra `view`: pip install 'la_medical[view]'.",
    )
    p.add_argument("case", metavar="CASE", help="case_id in the manifest")
    p.add_argument("--manifest", type=Path, required=True, help="manifest with image and mask")
    p.add_argument("--predictions", type=Path, metavar="DIR", help="folder of predictions")
    p.add_argument("--whole", action="store_true", help="keep every voxel of a volume of more than 120 million")
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="HTML file to write")
    p.set_defaults(run=_view)


def _maps(arguments: argparse.Namespace) -> None:
    from la_medical.inference.attention_maps import write_maps
    from la_medical.manifest import read_manifest
    from la_medical.networks.checkpoint import load_checkpoint

    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit}: expected at least 1")
    manifest = read_manifest(arguments.manifest)
    if arguments.split != "all":
        manifest = manifest.rows(arguments.split)
    rows = range(len(manifest.table))[: arguments.limit]
    checkpoint = load_checkpoint(arguments.checkpoint)
    count = write_maps(checkpoint, manifest, arguments.out, rows=rows, named=str(arguments.checkpoint))
    print(f"{count} cases, {len(checkpoint.classes)} classes: {arguments.out}")


def _view(arguments: argparse.Namespace) -> None:
    from la_medical.manifest import read_manifest
    from la_medical.reports.volume_page import write_volume_page

    manifest = read_manifest(arguments.manifest)
    reduced = write_volume_page(
        arguments.case, manifest, arguments.out, predictions=arguments.predictions, whole=arguments.whole
    )
    if reduced:
        print(reduced)
    print(f"{arguments.out} ({arguments.out.stat().st_size / 1e6:.0f} MB)")
