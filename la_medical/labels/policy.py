"""What an uncertain label counts as, decided when a manifest is used and never when it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import LabelError
from la_medical.labels.space import UNCERTAIN

VALUES = {"ignore": np.nan, "ones": 1.0, "zeros": 0.0}
"""Policy name to what replaces -1: unknown (U-Ignore), positive (U-Ones) or negative (U-Zeros); Irvin et al. 2019."""


@dataclass(frozen=True)
class UncertainPolicy:
    """`default` for every class, `per_class` for those that differ; each one of ignore, ones, zeros."""

    default: str = "ignore"
    per_class: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for where, policy in (("default", self.default), *self.per_class.items()):
            if policy not in VALUES:
                raise LabelError(f"uncertain-label policy {policy!r} for {where}: expected one of {', '.join(VALUES)}")

    def apply(self, labels: NDArray[np.floating[Any]], classes: Sequence[str]) -> NDArray[np.float32]:
        """States to targets: 1, 0 or NaN (unknown).

        Args:
            labels: (N, K), each 1, 0, -1 or NaN.
            classes: the K class names, in the order of the columns.

        Raises:
            LabelError: another value, or a per-class policy for a class that is not there.
        """
        absent = set(self.per_class) - set(classes)
        if absent:
            raise LabelError(f"uncertain-label policy names {sorted(absent)[0]!r}, which is not among the classes")
        targets = np.array(labels, dtype=np.float32)
        known = targets[~np.isnan(targets)]
        if not np.isin(known, (1, 0, -1)).all():
            wrong = known[~np.isin(known, (1, 0, -1))][0]
            raise LabelError(f"label {wrong:g}: expected 1, 0, -1 (uncertain) or blank (unknown)")
        instead = np.array([VALUES[self.per_class.get(name, self.default)] for name in classes], dtype=np.float32)
        return np.where(targets == UNCERTAIN, instead, targets)
