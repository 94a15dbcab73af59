"""Bad input inside a bundle: one line on stderr and exit code 2, where MONAI would show a traceback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from la_medical.errors import InputError, one_line, system_error_line

P = ParamSpec("P")
R = TypeVar("R")

BAD_INPUT = 2


def stops_on_bad_input(function: Callable[P, R]) -> Callable[P, R]:
    """Let `function` end the program on `InputError` or `OSError`.

    For functions that a config names: MONAI wraps what they raise into a `RuntimeError` with a traceback, but lets
    `SystemExit` through.
    """

    @functools.wraps(function)
    def stopping(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            message = str(error)
        except OSError as error:
            message = system_error_line(error)
        print(f"la_medical: {one_line(message)}", file=sys.stderr, flush=True)
        raise SystemExit(BAD_INPUT)

    return stopping
