"""The commands that take a trained network elsewhere: `export-network`, `publish`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add this file's command to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "export-network",
        help="write a trained network as TorchScript, ONNX or torch.export",
        description="Write the network of a checkpoint for other programs, its class queries multiplied out and its "
        "label space inside the file. The answers are compared with PyTorch's before the file is kept. The bundles' "
        "inference reads it with --checkpoint FILE.",
    )
    p.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.pt of a training")
    p.add_argument("--to", required=True, choices=("torchscript", "onnx", "pt2"), help="the form to write")
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file: .ts, .onnx or .pt2")
    p.set_defaults(run=_export_network)

    p = commands.add_parser(
        "publish",
        help="make a bundle folder with weights and a model card",
        description="Write a MONAI bundle that runs by itself: inference config, metadata, weights with sha256, and a "
        "model card that the Hugging Face Hub reads. MONAI Label and MONAI Deploy read the folder too.",
    )
    p.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.pt, or the folder of its training")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    p.add_argument("--metrics", type=Path, metavar="JSON", help="metrics.json for the card; default: the one beside")
    p.set_defaults(run=_publish)


def _export_network(arguments: argparse.Namespace) -> None:
    from la_medical.networks.checkpoint import load_checkpoint
    from la_medical.networks.export import export_network
    from la_medical.training.network import image_size_of, network_of_checkpoint

    checkpoint = load_checkpoint(arguments.checkpoint)
    network = network_of_checkpoint(checkpoint, named=str(arguments.checkpoint))
    difference = export_network(network, checkpoint, arguments.out, form=arguments.to, size=image_size_of(checkpoint))
    print(f"{arguments.out}: {', '.join(checkpoint.classes)}; answers within {difference:.1e} of PyTorch's")


def _publish(arguments: argparse.Namespace) -> None:
    from la_medical.publishing.bundle_folder import publish

    print(publish(arguments.checkpoint, arguments.out, metrics=arguments.metrics))
