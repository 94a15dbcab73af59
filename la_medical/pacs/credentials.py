"""User and password, or a token, of a picture archive: from the environment or a private file, never from an argument.

Their values appear in no `repr`, no message and no log line.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from la_medical.errors import PacsError
from la_medical.parsing import parse_json

USER, PASSWORD, TOKEN = "LA_MEDICAL_PACS_USER", "LA_MEDICAL_PACS_PASSWORD", "LA_MEDICAL_PACS_TOKEN"
_FORMS = '{"user": "...", "password": "..."} or {"token": "..."}'


@dataclass(frozen=True)
class Credentials:
    """HTTP Basic (`user`, `password`) or Bearer (`token`); all blank: the archive is asked without any."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.token)


def credentials(file: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Credentials:
    """Credentials of `file`, else of the environment, else none.

    Args:
        file: JSON with `user` and `password`, or `token`; only its owner may read it (mode 600).
        environment: `LA_MEDICAL_PACS_USER` and `LA_MEDICAL_PACS_PASSWORD`, or `LA_MEDICAL_PACS_TOKEN`; by default
            that of the process.

    Raises:
        PacsError: a file that others may read, or is not such JSON; a user without a password; both kinds at once.
    """
    if file is not None:
        return _checked(_of_file(Path(file)), str(file))
    variables = os.environ if environment is None else environment
    found = {
        "user": variables.get(USER, ""),
        "password": variables.get(PASSWORD, ""),
        "token": variables.get(TOKEN, ""),
    }
    return _checked(found, f"{USER}, {PASSWORD}, {TOKEN}")


def _of_file(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as stream:
            about = os.fstat(stream.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise PacsError(f"{path}: expected a file with credentials")
            if stat.S_IMODE(about.st_mode) & 0o077:
                raise PacsError(
                    f"{path}: others may read this file (mode {stat.S_IMODE(about.st_mode):o}); run chmod 600 {path}"
                )
            content = parse_json(stream.read(65536))
    except PacsError:
        raise
    except ValueError:
        raise PacsError(f"{path}: not JSON; expected {_FORMS}") from None  # the parser's message would quote the file
    known = isinstance(content, dict) and set(content) <= {"user", "password", "token"}
    if not known or not all(isinstance(value, str) for value in content.values()):
        raise PacsError(f"{path}: expected {_FORMS}")
    return content


def _checked(found: Mapping[str, str], where: str) -> Credentials:
    given = Credentials(**{name: value for name, value in found.items() if value})
    if given.token and (given.user or given.password):
        raise PacsError(f"{where}: both a token and a user or password; give one of the two")
    if bool(given.user) != bool(given.password):
        raise PacsError(f"{where}: user and password belong together, and one of them is missing")
    if any(ord(letter) < 32 for value in (given.user, given.password, given.token) for letter in value):
        raise PacsError(f"{where}: a control character (a line end?) in the user, password or token; remove it")
    return given
