"""JSON and YAML that come from outside: plain values, or a `ValueError` that says what is wrong with the text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from la_medical.errors import InputError, one_line

DEEPEST = 50
"""Levels of lists and mappings inside each other; nothing that is read here has more than ten."""


def parse_json(text: str, *, halves: bool = False) -> Any:
    """The value of a JSON text.

    Raises `ValueError` for text that is not JSON, for more than `DEEPEST` levels, for whole numbers of more digits
    than Python reads (4,300), and for half a character (`"\\ud800"`), which no file could hold; with `halves` it is
    read, being how Python spells the name of a file that is not UTF-8.
    """
    try:
        return _plain(json.loads(text), halves=halves)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects") from None


def parse_yaml(text: str) -> Any:
    """The value of a YAML text that holds what JSON can hold, and dates.

    Raises `ValueError` as `parse_json`, and for tags (`!!int`), aliases (`*name`: a few lines of them are a list of
    billions) and keys that stand twice. A time of day is a text and not a number of base 60.
    """
    try:
        return _plain(yaml.load(text, Loader=_PlainLoader))
    except (yaml.YAMLError, OverflowError) as error:
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
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        content = super().construct_mapping(node, deep=deep)
        if len(content) < len(node.value):  # by value: `1` and `01` are one key
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next(key for place, key in enumerate(keys) if key in keys[:place])
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} stands twice", node.start_mark)
        return content


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {_INT, _FLOAT}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    _INT,
    re.compile(r"(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_PlainLoader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
               r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)  # fmt: skip


def _plain(content: Any, *, halves: bool = False) -> Any:
    """`content`; raises `ValueError` where it is too deep, or holds text that no file could hold."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists and mappings")
        if isinstance(value, str):
            value.encode(errors="surrogatepass" if halves else "strict")
        elif isinstance(value, int):
            str(value)  # too many digits: YAML's 0xfff...
        elif isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
    return content
