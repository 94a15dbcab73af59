"""What mutmut left in its folder: every mutant of a room, what became of it, and what it changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """`outcome` in mutmut's words: killed, survived, timeout, no tests, not checked, ..."""

    name: str
    file: Path
    outcome: str

    def identity(self, folder: Path) -> str:
        """`auc.py newcombe: - old line + new line`, which stays the same when other lines of the file change."""
        from mutmut.mutation.diff_apply import get_diff_for_mutant

        with chdir(folder):
            difference = get_diff_for_mutant(self.name, path=self.file).splitlines()[2:]
        changed = [line for line in difference if line[:1] in "+-"]
        function = self.name.rpartition(".")[2].rpartition("__mutmut_")[0].removeprefix("x_").replace("xǁ", "")
        told = " ".join(f"{line[0]} {' '.join(line[1:].split())}" for line in changed)
        return f"{self.file.name} {function.replace('ǁ', '.')}: {told}"


def read_mutants(folder: Path, room: str) -> Iterator[Mutant]:
    """The mutants of `la_medical/ROOM` in `folder`, where mutmut ran."""
    from mutmut.stats import status_by_exit_code

    for meta in _metas(folder, room):
        file = Path("la_medical") / room / meta.stem
        for name, code in sorted(json.loads(meta.read_text())["exit_code_by_key"].items()):
            yield Mutant(name, file, status_by_exit_code[code])


def forget_survivors(folder: Path, room: str, equivalent: Collection[str]) -> None:
    """Have survivors that are not known to be equivalent tested again: the code is as it was, but tests may be new."""
    again = {
        mutant.name
        for mutant in read_mutants(folder, room)
        if mutant.outcome not in ("killed", "not checked") and mutant.identity(folder) not in equivalent
    }
    for meta in _metas(folder, room):
        content = json.loads(meta.read_text())
        codes = content["exit_code_by_key"]
        content["exit_code_by_key"] = {name: None if name in again else code for name, code in codes.items()}
        meta.write_text(json.dumps(content))


def _metas(folder: Path, room: str) -> list[Path]:
    return sorted((folder / "mutants" / "la_medical" / room).glob("*.meta"))
