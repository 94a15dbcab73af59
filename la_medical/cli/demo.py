"""Commands of the command line: demo."""

from __future__ import annotations

from typing import Any


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
