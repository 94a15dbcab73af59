"""What one check of the audit found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.manifest.table import Manifest

PASSED, WARNING, FAILED, CANNOT = "passed", "warning", "failed", "cannot be checked"
"""The four outcomes. What could not be looked at is never `passed`."""

CASES_SHOWN = 20


@dataclass(frozen=True)
class Check:
    """`count`: how many cases (or what the message names) are concerned; `cases`: the first of their `case_id`s."""

    name: str
    status: str
    message: str
    count: int = 0
    cases: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """An entry of `checks` in audit.json."""
        return {
            "name": self.name,
            "status": self.status,
            "count": self.count,
            "message": self.message,
            "cases": list(self.cases),
        }


def concerning(name: str, status: str, message: str, cases: Sequence[str]) -> Check:
    """A check about these cases, of which the first are kept."""
    return Check(name, status, message, count=len(cases), cases=tuple(cases[:CASES_SHOWN]))


def passed_unless(name: str, cases: Sequence[str], good: str, bad: str, status: str = FAILED) -> Check:
    """Passed with the message `good` when no case is concerned, else `status` with the message `bad`."""
    return concerning(name, status, bad, cases) if len(cases) else Check(name, PASSED, good)


def case_ids(manifest: Manifest, rows: NDArray[np.bool_] | Iterable[int]) -> list[str]:
    """The `case_id`s of rows given as a mask (N,) or as row numbers, in the order of the table."""
    chosen = np.flatnonzero(rows) if isinstance(rows, np.ndarray) and rows.dtype == bool else list(rows)
    return [str(name) for name in manifest.table["case_id"].iloc[chosen]]
