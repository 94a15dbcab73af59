"""What this package raises for anything a user can put right.

LaMedicalError
└── InputError      a file, a value or an option that cannot be used (exit code 2)
    ├── ManifestError       a manifest, its JSON or its card
    ├── LabelError          a class name, a label state, a label space
    ├── GeometryError       spacing, orientation, shape of a volume or series
    ├── PredictionError     prediction, candidate or operating point files
    └── PacsError           a picture archive that cannot be reached or does not do what it is asked

A message says what came, what was expected, and the way out, in one line. It names no patient unless the
caller's own file does.
"""

import errno


class LaMedicalError(Exception):
    """Base of every error this package raises on purpose. `message` becomes one line, whatever names it repeats."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class InputError(LaMedicalError, ValueError):
    """Bad input: the command line prints it as one line on stderr and exits with 2."""


class ManifestError(InputError):
    """A manifest, the JSON beside it, or a source card cannot be used."""


class LabelError(InputError):
    """A class name, a label state or a label space cannot be used."""


class GeometryError(InputError):
    """A volume, mask or series has a shape, spacing or orientation that cannot be used."""


class PredictionError(InputError):
    """A prediction, candidate or operating point file cannot be used."""


class PacsError(InputError):
    """A picture archive cannot be reached, refuses, or does not have what it was asked for."""


def one_line(text: str, limit: int = 1000) -> str:
    """`text` with all white space folded, for a message that must be one line."""
    folded = " ".join(text.split())
    return folded if len(folded) <= limit else folded[: limit - 3] + "..."


_WAYS_OUT = {
    errno.ENOENT: "check the path",
    errno.EACCES: "give a path that you may use, or ask for the right to it",
    errno.EPERM: "give a path that you may use, or ask for the right to it",
    errno.EROFS: "it is mounted for reading only; give a folder that you may write to",
    errno.ENOSPC: "make room, or give a folder on another disk, and run the command again",
    errno.EDQUOT: "your share of the disk is used up; make room, or give a folder on another disk",
    errno.EISDIR: "it is a folder; give a file",
    errno.ENOTDIR: "a part of the path is a file; give a folder",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit with `ulimit -n 4096`, or use fewer workers",
}


def system_error_line(error: OSError) -> str:
    """What the operating system refused, and the way out."""
    way = _WAYS_OUT.get(error.errno or 0, "check the path and the disk, and run the command again")
    return f"{error.filename or 'file'}: {error.strerror or error}; {way}"
