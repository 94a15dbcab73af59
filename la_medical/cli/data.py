"""Commands of the command line: data."""

from __future__ import annotations

from typing import Any

from la_medical.cli import manifests, sources


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    sources.add_commands(commands)
    manifests.add_commands(commands)
