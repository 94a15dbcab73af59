"""The command line: parse, call one function, print. Nothing heavy is imported before a command is chosen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from la_medical import __version__
from la_medical.cli import (
    data,
    demo,
    detection,
    diagnosis,
    experiment,
    model,
    network_export,
    pacs,
    scan,
    structured_report,
    subset,
    view,
)
from la_medical.errors import InputError, one_line, system_error_line

DONE, TARGET_MISSED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = "exit codes: 0 done; 1 done, but the audit or a wanted target failed; 2 bad input, said in one line"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse would print its usage first."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(BAD_INPUT, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="la-medical",
        description="Learn from many partially labelled medical data sets at once, and prove what is detected.",
        epilog=EXIT_CODES,
    )
    top.add_argument("--version", action="version", version=f"la-medical {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (
        data,
        subset,
        scan,
        pacs,
        detection,
        diagnosis,
        structured_report,
        view,
        model,
        network_export,
        demo,
        experiment,
    ):
        module.add_commands(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Each command sets `run`, a function of the parsed arguments."""
    parsed = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int | None] = parsed.run
    try:
        _check_seed(getattr(parsed, "seed", None))
        return run(parsed) or DONE
    except InputError as error:
        return _bad_input(parsed.command, str(error))
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        return _bad_input(parsed.command, system_error_line(error))
    except KeyboardInterrupt:
        print(f"la-medical {parsed.command}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _check_seed(seed: int | None) -> None:
    """NumPy's generators refuse other seeds, and each command would find out at another place."""
    if seed is not None and not 0 <= seed < 2**32:
        raise InputError(f"--seed {seed}: expected a whole number from 0 to {2**32 - 1}")


def _bad_input(command: str, message: str) -> int:
    print(f"la-medical {command}: {one_line(message)}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
