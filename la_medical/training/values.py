"""Values from a command line, made into what they mean.

`python -m monai.bundle` guesses types as YAML and Python do: `2e-4` and `false` arrive as strings, `a,b` as a tuple
and a single `a` as a string. Each function takes what may come and raises `InputError` that names the key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from la_medical.errors import InputError

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def boolean(key: str, value: Any) -> bool:
    """True or False, also as text or as 1 and 0."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise InputError(f"{key} is {value!r}; expected true or false")


def integer(key: str, value: Any, *, least: int) -> int:
    """A whole number of at least `least`, also as text; 8.0 counts as 8."""
    number_ = _number(value)
    if number_ is None or number_ != int(number_) or number_ < least:
        raise InputError(f"{key} is {value!r}; expected a whole number of at least {least}")
    return int(number_)


def number(key: str, value: Any, *, above: float | None = None, least: float | None = None) -> float:
    """A finite number, above `above` and at least `least` where given, also as text."""
    found = _number(value)
    wanted = "a finite number"
    wanted += f" above {above:g}" if above is not None else ""
    wanted += f" of at least {least:g}" if least is not None else ""
    if found is None or (above is not None and found <= above) or (least is not None and found < least):
        raise InputError(f"{key} is {value!r}; expected {wanted}")
    return found


def names(key: str, value: Any) -> tuple[str, ...] | None:
    """Several names: a list, a tuple, or text with commas; None or nothing for "not given"."""
    if _not_given(value):
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, (str, int)) for part in parts):
        raise InputError(f"{key} is {value!r}; expected names separated by commas")
    found = tuple(str(part).strip() for part in parts if str(part).strip())
    if not found:
        return None
    if len(set(found)) != len(found):
        raise InputError(f"{key} is {value!r}; a name is given twice")
    return found


def file(key: str, value: Any, *, hint: str) -> Path:
    """An existing file."""
    if _not_given(value):
        raise InputError(f"{key} is not given; {hint}")
    path = Path(str(value))
    if not path.is_file():
        raise InputError(f"{key} {path}: no such file; {hint}")
    return path


def optional_path(value: Any) -> Path | None:
    """A path, or None for "not given"."""
    return None if _not_given(value) else Path(str(value))


def device(value: Any) -> torch.device:
    """A torch device that this machine has."""
    if isinstance(value, torch.device):
        found = value
    else:
        try:
            found = torch.device(f"cuda:{value}" if isinstance(value, int) else str(value))
        except RuntimeError as error:
            raise InputError(f"device is {value!r}; expected cpu, cuda or cuda:N") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {value!r}, and this machine has {torch.cuda.device_count()}; give device cpu")
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _not_given(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in {"", "none", "null"})
