"""Names of overrides, checked: MONAI adds a mistyped key to the config without a word.

MONAI keeps no record of what was overridden, so the names are read again from the command line and the args file.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from la_medical.errors import InputError
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.tracking import check_tracking, keep_usage_to_ourselves

RUN_ARGUMENTS = {
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file",
    "workflow_name", "workflow_type", "properties_path",
}  # fmt: skip
TRACKING_KEYS = {"tracking_uri", "experiment_name", "run_name", "save_execute_config", "is_not_rank0"}
COMPONENT_KEYS = {"_target_", "_disabled_", "_desc_", "_requires_", "_mode_", "_debug_"}


@stops_on_bad_input
def check_overrides(arguments: Sequence[str] | None = None) -> None:
    """Stop with exit code 2 if the command line or its args file names a key that no config file has.

    Nothing is checked outside `python -m monai.bundle run`: in Python, overrides cannot be told from the config. A
    new argument of a component is fine if its `_target_` takes an argument of that name.
    """
    keep_usage_to_ourselves()
    given = list(sys.argv if arguments is None else arguments)
    if not _is_bundle_run(given):
        return
    options = _options(given[2:])
    if "args_file" in options:
        from monai.bundle import ConfigParser

        content = ConfigParser.load_config_file(str(options["args_file"]))
        options = {**{str(key): value for key, value in content.items()}, **options}
    check_tracking(options)
    files = options.get("config_file")
    if files is not None:
        tracked = TRACKING_KEYS if options.get("tracking") else set()
        check_names((key for key in options if key not in RUN_ARGUMENTS | tracked), _merged(files))


def check_names(keys: Iterable[str], config: Mapping[str, Any]) -> None:
    """Raise `InputError` for the first key, `a` or `a::b` (MONAI's older `a#b`), that `config` does not have."""
    for key in keys:
        node: Any = config
        parts = key.replace("#", "::").split("::")
        for depth, part in enumerate(parts):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, Mapping) and part in node:
                node = node[part]
            elif isinstance(node, Mapping) and depth == len(parts) - 1 and part in _accepted(node):
                break
            else:
                raise InputError(_no_such_key(key, parts[:depth], part, node))


def _no_such_key(key: str, above: Sequence[str], part: str, node: Any) -> str:
    have = [*map(str, node), *_accepted(node)] if isinstance(node, Mapping) else []
    near = difflib.get_close_matches(part, have, n=1, cutoff=0.6)
    within = f" below {'::'.join(above)}" if above else ""
    if near:
        hint = f"did you mean --{'::'.join([*above, near[0]])}?"
    else:
        hint = f"there are: {', '.join(sorted(set(have)))}" if have else "it has no keys of its own"
    return f"--{key}: the config has no key {part!r}{within}; {hint}"


def _accepted(node: Mapping[str, Any]) -> list[str]:
    """Arguments that the component `node` describes would take."""
    target = node.get("_target_")
    if not isinstance(target, str):
        return []
    from monai.bundle.config_item import ComponentLocator
    from monai.utils.module import locate

    path = ComponentLocator().get_component_module_name(target)
    path = path[0] if isinstance(path, list) else path
    component = locate(target if path is None else f"{path}.{target}")
    if component is None:
        return sorted(COMPONENT_KEYS)
    taken = inspect.signature(component).parameters.values()
    named = [item.name for item in taken if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    return sorted([*named, *COMPONENT_KEYS])


def _is_bundle_run(arguments: Sequence[str]) -> bool:
    return (
        len(arguments) > 2
        and Path(arguments[0]).parts[-3:] == ("monai", "bundle", "__main__.py")
        and arguments[1] in {"run", "run_workflow"}
    )


def _options(arguments: Sequence[str]) -> dict[str, Any]:
    """Option name to value, as `fire` reads them: `--key value`, `--key=value`, `-` in names as `_`."""
    from fire.parser import DefaultParseValue  # type: ignore[import-untyped]

    found: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument in {"-", "--"} or not argument.startswith("-") or _is_number(argument):
            continue
        key, equals, value = argument.lstrip("-").partition("=")
        if not equals:
            follows = arguments[position] if position < len(arguments) else "--"
            if follows.startswith("-") and not _is_number(follows):
                value = "True"
            else:
                value, position = follows, position + 1
        found[key.replace("-", "_")] = DefaultParseValue(value)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _merged(files: Any) -> Mapping[str, Any]:
    from monai.bundle import ConfigParser

    return ConfigParser.load_config_files([str(f) for f in files] if isinstance(files, (list, tuple)) else str(files))
