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


class LaMedicalError(Exception):
    """Base of every error this package raises on purpose."""


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
