"""The audit's result, and `audit.json`. Format: docs/reference/audit.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from la_medical.manifest.audit.checks import CANNOT, FAILED, PASSED, WARNING, Check

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Audit:
    """`about`: which manifest this is of; the other fields are the parts of `audit.json` of the same name."""

    about: dict[str, Any]
    checks: tuple[Check, ...]
    coverage: list[dict[str, Any]] = field(default_factory=list)
    confounding: list[dict[str, Any]] = field(default_factory=list)
    shortcuts: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether any check failed; warnings do not count."""
        return any(check.status == FAILED for check in self.checks)

    def check(self, name: str) -> Check:
        """The check of this name; raises `KeyError`."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def counts(self) -> dict[str, int]:
        """How many checks ended in each way."""
        return {
            status: sum(check.status == status for check in self.checks) for status in (FAILED, WARNING, CANNOT, PASSED)
        }

    def to_dict(self) -> dict[str, Any]:
        """The content of `audit.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "status": FAILED if self.failed else PASSED,
            "manifest": self.about,
            "counts": self.counts(),
            "checks": [check.to_dict() for check in self.checks],
            "coverage": self.coverage,
            "confounding": self.confounding,
            "shortcuts": self.shortcuts,
        }
