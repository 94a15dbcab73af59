"""Commands of the documentation: found in its pages, and judged by the real parser and the bundles' own configs."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from la_medical.cli.main import parser
from la_medical.resources import bundles_folder
from tests.docs.blocks import SHELL, Block, blocks

OURS = re.compile(r"^(?:la-medical|python3? -m la_medical|python3? -m monai\.bundle)\b")
_INLINE = re.compile(r"`(la-medical [^`\n]+|python -m monai\.bundle [^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-zA-Z][\w:#-]*")
_SYNOPSIS = re.compile(r"\[[^\]'\"]*\]|\.\.\.|<[a-z_ ]+>|…")
_MONAI = {"bundle_root", "config_file", "meta_file", "logging_file", "args_file", "run_id", "init_id", "final_id",
          "tracking", "runner_id", "net_id", "filepath"}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One command at `line` of `page`; `block` is None where it stands in running text."""

    page: Path
    line: int
    text: str
    block: Block | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}: {self.text}"


def commands(page: Path) -> Iterator[Command]:
    """Every command of ours on a page."""
    fenced: set[int] = set()
    for block in blocks(page):
        fenced |= set(range(block.line, block.line + block.text.count("\n") + 3))
        if block.language in SHELL:
            yield from _of_block(block)
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if number not in fenced:
            for found in _INLINE.finditer(line):
                yield Command(page, number, found[1], None)


def _of_block(block: Block) -> Iterator[Command]:
    text = re.sub(r"\\\n\s*", " ", block.text)  # a line that goes on; line numbers after it are those of its start
    text = re.sub(r"\n +(?=\[|--)", " ", text)  # as a synopsis goes on
    for number, line in enumerate(text.splitlines(), block.line + 1):
        for part in re.split(r"\$\(|&&|\|\||;|\bdo\b|\|(?= )(?![^\[]*\])", re.sub(r"(^|\s)#.*", "", line)):
            command = re.split(r"\s{3,}(?=\S)", part.strip().removeprefix("$ "))[0].rstrip(") ")
            if OURS.match(command):
                yield Command(block.page, number, command, block)


def problem(command: Command) -> str:
    """Why this command cannot be given as it stands; blank if it can."""
    text = re.sub(r"^python3? -m la_medical", "la-medical", command.text)
    if text.startswith("la-medical"):
        return _of_la_medical(text, whole=command.block is not None)
    return _of_monai(text)


def _of_la_medical(text: str, *, whole: bool) -> str:
    synopsis = bool(_SYNOPSIS.search(text)) or not whole
    try:
        words = shlex.split(text)[1:]
    except ValueError as error:
        return "" if synopsis else str(error)
    if not words or words[0].startswith("-"):
        return ""
    chosen, rest = parser(), words
    while (choices := _subcommands(chosen)) is not None and rest and not rest[0].startswith(("-", "[")):
        names = [name for name in rest[0].strip("[]").split("|") if name]
        unknown = [name for name in names if name not in choices]
        if unknown:
            return f"no command {unknown[0]!r}; there are {', '.join(sorted(choices))}"
        chosen, rest = choices[names[0]], rest[1:]
    known = {option for action in chosen._actions for option in action.option_strings}
    unknown = [option for option in _OPTION.findall(text) if option not in known]
    if unknown:
        return f"no option {unknown[0]}; there are {', '.join(sorted(known))}"
    return "" if synopsis else _refused(words)


def _refused(words: list[str]) -> str:
    """What the parser says against it."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            parser().parse_args([re.sub(r"^\$\w+$", "1", word) for word in words])
        except SystemExit:
            return said.getvalue().strip()
    return ""


def _subcommands(of: argparse.ArgumentParser) -> dict[str, Any] | None:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return None


def _of_monai(text: str) -> str:
    """Config files must exist in one bundle, and each override must name a key of them."""
    files = re.findall(r"configs/([\w.-]+\.(?:yaml|json|conf))", text)
    roots = [root for root in sorted(bundles_folder().iterdir()) if (root / "configs").is_dir()]
    fitting = [root for root in roots if all((root / "configs" / file).is_file() for file in files)]
    if not fitting:
        return f"no bundle has all of {', '.join(files)}"
    reasons = [_unknown_key(text, root, files) for root in fitting]
    return "" if not all(reasons) else reasons[0]


def _unknown_key(text: str, root: Path, files: list[str]) -> str:
    content: dict[str, Any] = {}
    for file in files or [file.name for file in (root / "configs").glob("*.yaml")]:
        if file.endswith((".yaml", ".json")):
            content |= yaml.safe_load((root / "configs" / file).read_text(encoding="utf-8")) or {}
    for option in _OPTION.findall(text):
        first = re.split("::|#", option[2:])[0]
        if first not in content and first not in _MONAI:
            return f"{root.name} has no key {first!r} in {', '.join(files) or 'its configs'}"
    return ""
