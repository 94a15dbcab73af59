"""JSON and YAML that come from outside: plain values, or a `ValueError` that says what is wrong with the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from la_medical.errors import InputError, one_line

DEEPEST = 50
"""Levels of lists and mappings inside each other; nothing that is read here has more than ten."""


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises `ValueError` for text that is not JSON, for more than `DEEPEST` levels, for whole numbers of more digits
    than Python reads (4,300), and for half a character (`"\\ud800"`), which no file could hold.
    """
    try:
        return _plain(json.loads(text))
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects") from None


def parse_yaml(text: str) -> Any:
    """The value of a YAML text that holds what JSON can hold, and dates.

    Raises `ValueError` as `parse_json`, and for tags (`!!int`), aliases (`*name`: a few lines of them are a list of
    billions) and keys that stand twice.
    """
    try:
        return _plain(yaml.load(text, Loader=_PlainLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and mappings") from None


def read_yaml(path: str | Path, error: type[InputError] = InputError) -> Any:
    """`parse_yaml` of a file; raises `error`, in one line that names the file."""
    try:
        return parse_yaml(Path(path).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise error(f"{path}: not YAML that is read here ({one_line(str(problem), 300)})") from problem


def text_of(value: Any) -> str:
    """`str(value)` of a text, a number or a date; raises `TypeError` for a list, a mapping, or nothing."""
    if value is None or isinstance(value, (list, tuple, set, dict)):
        raise TypeError(f"expected a text, this is {one_line(repr(value), 60)}")
    return str(value)


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag is not None:
            raise yaml.composer.ComposerError(None, None, "no tags and aliases are read", event.start_mark)
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.composer.ComposerError(None, None, "a key is a text or a number", key.start_mark)
                if key.value in seen:
                    raise yaml.composer.ComposerError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return node


def _plain(content: Any) -> Any:
    """`content`; raises `ValueError` where it is too deep, or holds text that no file could hold."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists and mappings")
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, int):
            str(value)  # too many digits: YAML's 0xfff...
        elif isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
    return content
