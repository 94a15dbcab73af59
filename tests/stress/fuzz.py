"""`python -m tests.stress.fuzz KIND FOLDER [-runs=N ...]`: coverage-guided fuzzing of one kind of file (atheris).

FOLDER gets the corpus: a good file first, then what libFuzzer finds to reach new branches. All arguments after it are
libFuzzer's. A file that ends in anything but being refused or being read by the rules is left in the current folder as
`crash-...`, and the exit code is 77.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import yaml

with atheris.instrument_imports(include=["la_medical"]):
    from la_medical.detection.tables import read_candidates
    from la_medical.errors import InputError
    from la_medical.labels import LabelSpace
    from la_medical.resources import cards_folder
    from tests.stress.file_kinds import KINDS, POINT, replaced

LESIONS = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst", "pannet", "tumour"])
"""A label space with a union, exclusions and codes that is parsed in a few milliseconds."""
TOKENS = (
    "!!int ", "!!bool ", "!!set ", "&a ", "*a", "<<: ", "2001-13-45", "0x1F", "1:59:59", "? ", "- ", "[", "{",
    "\\ud800", "|\n", "---\n", "9" * 5000, "[" * 2000,
)  # fmt: skip
"""What YAML and JSON read as something else than text, and what no value should hold."""

STRUCTURED: dict[str, Callable[[], bytes]] = {
    "operating point": lambda: json.dumps(POINT).encode(),
    "label space": lambda: yaml.safe_dump(LESIONS.to_dict(), sort_keys=False).encode(),
    "card": (cards_folder() / "msd_pancreas.yaml").read_bytes,
    "candidates": lambda: b'{"schema_version": 1, "classes": ["pdac"], "sha256": {"candidates.parquet": "00"}}',
}
"""Kinds that hold JSON or YAML, with a good content of each: bytes changed at random seldom stay readable."""


def changed(content: bytes, max_size: int, seed: int) -> bytes:
    """One time in ten a token is put in; otherwise a value is replaced in what the file says, or bytes by libFuzzer."""
    draw = random.Random(seed)
    if draw.random() < 0.1:
        place = draw.randrange(len(content) + 1)
        return (content[:place] + draw.choice(TOKENS).encode() + content[place:])[:max_size]
    if draw.random() < 0.5:
        try:
            return json.dumps(replaced(yaml.safe_load(content), draw)).encode()[:max_size]
        except Exception:  # what YAML does not hold, or JSON does not write: then its bytes
            pass
    return bytes(atheris.Mutate(content, max_size))


def of_text(kind: str, folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """Good contents of the kind, and a function that reads changed ones and checks the rules."""
    name, write, read, check = KINDS[kind]
    path = folder / name
    good = [STRUCTURED[kind]()] if kind in STRUCTURED else [write(path, random.Random(0)).read_bytes()]

    def one(content: bytes) -> None:
        path.write_bytes(content)
        check(read(path))

    return good, one


def of_candidates(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """`protocol.json` of a folder of candidates; the tables are compared with the hashes in it."""
    path = folder / "protocol.json"

    def one(content: bytes) -> None:
        path.write_bytes(content)
        read_candidates(folder)

    return [STRUCTURED["candidates"]()], one


def of_dicom(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """A DICOM file, through the header reader and the reader of `scan`; both name an outcome and never raise."""
    from tests.stress.test_mutated_dicom import OUTCOMES, read, seeds

    path = folder / "slice"

    def one(content: bytes) -> None:
        outcomes = set(read(path, content))
        assert outcomes <= OUTCOMES, outcomes

    return seeds(), one


def target(kind: str, folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    if kind == "candidates":
        return of_candidates(folder)
    return of_dicom(folder) if kind == "DICOM header" else of_text(kind, folder)


NAMES = (*KINDS, "candidates", "DICOM header")


def main() -> None:
    kind, corpus = sys.argv[1], Path(sys.argv[2])
    work = corpus / "work"
    work.mkdir(parents=True, exist_ok=True)
    good, one = target(kind, work)
    found = corpus / "corpus"
    found.mkdir(exist_ok=True)
    for number, content in enumerate(good):
        (found / f"good{number}").write_bytes(content)

    def tried(content: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error" if kind in KINDS else "ignore")
            try:
                one(content)
            except InputError as error:
                if "\n" in str(error):
                    raise RuntimeError(f"said in several lines: {error}") from error

    more = {"custom_mutator": changed} if kind in STRUCTURED else {}
    atheris.Setup([sys.argv[0], *sys.argv[3:], str(found)], tried, **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
