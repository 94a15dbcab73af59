"""Every setting that decides which candidates are found and which of them count as found lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from la_medical.errors import PredictionError

EXTRACTIONS = ("static", "dynamic", "dynamic-fast", "detection-map")
CONFIDENCES = ("max", "mean", "sum")
MATCHES = ("iou", "dice", "any", "centre")
SCORES = ("max_candidate", "max_voxel", "volume")
MISSING = ("error", "negative", "exclude")


@dataclass(frozen=True)
class Protocol:
    """Settings of `detect`; written into `protocol.json`, with which the figures can be made again.

    `extraction`: `static` at `threshold`; `dynamic` and `dynamic-fast` relative to the volume's largest value
    (`dynamic_factor`); `detection-map`: every voxel above 0, touching voxels of different value kept apart.
    `match`: `iou` or `dice` at least `match_threshold`; `any` overlap; `centre` of the candidate in the lesion or
    within `distance_mm` of it. `duplicates`: what a candidate is that reaches a lesion already taken by another one:
    `ignore` (neither true nor false, as picai_eval) or `false_positive`. `score`: what decides about a patient.
    """

    name: str = "default"
    extraction: str = "static"
    threshold: float = 0.1
    dynamic_factor: float = 2.5
    dynamic_lesions: int = 5
    confidence: str = "max"
    min_volume_mm3: float = 0.0
    min_voxels: int = 1
    connectivity: int = 26
    match: str = "iou"
    match_threshold: float = 0.1
    distance_mm: float = 0.0
    duplicates: str = "ignore"
    score: str = "max_candidate"
    resample: bool = False
    missing: str = "error"
    uncertain: str = "ignore"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise PredictionError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(map(str, allowed))}")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise PredictionError(f"{name} {getattr(self, name)}: expected a number from {low:g} to {high:g}")
        if self.extraction == "static" and not self.threshold > 0:
            raise PredictionError("threshold 0 makes the whole volume one candidate; expected above 0, such as 0.1")

    @property
    def is_picai(self) -> bool:
        """Whether numbers are to be those of picai_eval to the last bit."""
        return self.name == "picai"

    def to_dict(self) -> dict[str, Any]:
        """Plain content for `protocol.json`."""
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Protocol:
        """Read `to_dict`'s content; raises `PredictionError`."""
        unknown = set(content) - set(Protocol.__dataclass_fields__)
        if unknown:
            raise PredictionError(f"protocol has an unknown setting {sorted(unknown)[0]!r}")
        return Protocol(**content)


PICAI = {"name": "picai", "extraction": "detection-map"}
"""picai_eval 1.4: detection maps, 26 neighbours, IoU >= 0.1, float32, duplicates neither true nor false."""
PICAI_MIN_VOXELS = 11
"""report_guided_annotation drops candidates of 10 voxels or fewer."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "name": ("default", "picai"),
    "extraction": EXTRACTIONS,
    "confidence": CONFIDENCES,
    "connectivity": (6, 18, 26),
    "match": MATCHES,
    "duplicates": ("ignore", "false_positive"),
    "score": SCORES,
    "missing": MISSING,
    "uncertain": ("ignore", "ones", "zeros"),
}
_RANGES = (
    ("threshold", 0, 1),
    ("match_threshold", 0, 1),
    ("dynamic_factor", 1, 1e6),
    ("dynamic_lesions", 1, 10**6),
    ("min_volume_mm3", 0, 1e12),
    ("min_voxels", 1, 10**9),
    ("distance_mm", 0, 1e4),
)
