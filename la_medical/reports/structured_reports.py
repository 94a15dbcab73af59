"""Predictions to what goes back into a picture archive: a DICOM SEG of the candidates and a structured report, a case.

Needs no labels: candidates are found as `detect` finds them, by the protocol of the operating points.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.candidates import Candidate, find_candidates, size_of
from la_medical.detection.dicom_masks import dicom_files
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.protocol import Protocol
from la_medical.detection.unions import whole_space
from la_medical.detection.volumes import VOLUME_SUFFIXES
from la_medical.dicom.faults import explain
from la_medical.dicom.measurement_report import Finding, write_measurement_report
from la_medical.dicom.pseudonyms import read_key
from la_medical.dicom.segmentation import BINARY, write_seg
from la_medical.dicom.series import read_series_table, series_files, table_root
from la_medical.dicom.volume import series_stack
from la_medical.errors import GeometryError, InputError, PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace
from la_medical.manifest import Manifest
from la_medical.progress import progress

SEGMENTATION, REPORT = "segmentation.dcm", "report.dcm"
MOST = 10
"""Candidates of a class that are kept: each costs a mask of the whole volume in memory, one byte a voxel."""


@dataclass(frozen=True)
class Reported:
    """One case: `findings` written, `left_out` beyond the most that are kept."""

    case_id: str
    findings: int
    left_out: int


@dataclass(frozen=True)
class _Kept:
    name: str
    rank: int
    candidate: Candidate


def write_structured_reports(
    predictions: str | Path,
    manifest: Manifest,
    out: str | Path,
    *,
    sources: Mapping[str, Sequence[Path]] | None = None,
    classes: Sequence[str] | None = None,
    points: Sequence[OperatingPoint] = (),
    split: str | None = None,
    most: int = MOST,
    algorithm: str = "la_medical",
) -> list[Reported]:
    """Write `OUT/<case_id>/segmentation.dcm` (binary, a segment for each candidate) and `report.dcm` (TID 1500).

    A case without any candidate has a report that says so, and no segmentation.

    Args:
        predictions: folder, as `detect` takes it.
        manifest: every row of `split` that has a prediction is reported.
        out: folder to write into.
        sources: files of each case's DICOM series, as `series_of_cases` gives them; by default the manifest's images,
            which must be DICOM then.
        classes: which classes; by default those of the points, else those of the predictions.
        points: candidates below the point of their class are left out. They also say how candidates are found;
            without any, the default protocol does, and every candidate is reported.
        split: rows of one split only.
        most: candidates of a class to keep, the most confident first.
        algorithm: name of what made the predictions.

    Raises:
        InputError: no prediction, a case that cannot be read, points that do not fit each other or cannot choose
            candidates.
    """
    rows = manifest.rows(split) if split else manifest
    thresholds, protocol = _settings(points)
    wanted = tuple(classes or thresholds or ())
    answers = open_predictions(predictions, classes=wanted or None).spelled(manifest.space)
    wanted = wanted or answers.channels or manifest.classes
    unknown = [name for name in wanted if answers.channels and name not in answers.offered]
    if unknown:
        raise PredictionError(f"{predictions} has no class {unknown[0]!r}; it has: {', '.join(answers.offered)}")
    space = _space_with(wanted, manifest)
    cases = [case for case in rows.table["case_id"] if answers.source(case) is not None]
    if not cases or most < 1:
        raise PredictionError(f"{predictions}: no prediction of any of {len(rows)} cases, or no candidate wanted")
    files = sources if sources is not None else _images(rows)
    done = []
    for case in progress(cases, what="reporting cases"):
        if not files.get(case):
            raise InputError(f"{case}: no DICOM series is known of it; give the series table with --series")
        grid = _grid(case, files[case])
        found = list(_candidates(answers, case, grid, wanted, protocol, space, thresholds))
        kept = [one for one in found if one.rank <= most]
        _write(Path(out) / case, files[case], grid, kept, wanted, space, algorithm)
        done.append(Reported(case, len(kept), len(found) - len(kept)))
    return done


def series_of_cases(
    manifest: Manifest, series: str | Path, root: str | Path | None = None, key: str | Path | None = None
) -> dict[str, list[Path]]:
    """DICOM files of each case by the manifest's `series_uid`, from the series table of `la-medical scan`.

    Args:
        manifest: with a column `series_uid`, as the source `hospital_dicom` writes it.
        series: the series table.
        root: the folder that was scanned; by default as the table's JSON says.
        key: key file of a table written with `--pseudonymise`.

    Raises:
        InputError: no such column, a case whose series is not in the table, or files that are not there.
    """
    if "series_uid" not in manifest.table:
        raise InputError(f"{manifest.named}: no column series_uid; make it with `la-medical manifest hospital_dicom`")
    table = read_series_table(series)
    rows = {row["series_uid"]: row for row in table.to_dict("records")}
    pseudonyms = read_key(key) if key else None
    found = {}
    for case, uid in zip(manifest.table["case_id"], manifest.table["series_uid"], strict=True):
        if uid not in rows:
            raise InputError(f"{case}: its series is not in {series}; give the table that the manifest was made from")
        found[case] = series_files(rows[uid], root or table_root(series), pseudonyms=pseudonyms)
    return found


def _grid(case: str, files: Sequence[Path]) -> Grid:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # faults that refuse are asked for below
        stack = series_stack([*files])
    if not stack.readable or stack.geometry is None or stack.geometry.affine is None:
        raise GeometryError(f"{case}: no volume can be made of its series ({explain(stack.faults) or stack.kind})")
    common = stack.slices[0].common
    return Grid((int(common["columns"]), int(common["rows"]), len(stack.slices)), stack.geometry.affine)


def _images(manifest: Manifest) -> dict[str, list[Path]]:
    """The images where they are DICOM: a folder of one series, or a multi-frame file."""
    images = zip(manifest.table["case_id"], manifest.file_paths("image"), strict=True)
    known = {
        case: image for case, image in images if image is not None and not image.name.lower().endswith(VOLUME_SUFFIXES)
    }
    return {case: dicom_files(image) for case, image in known.items()}


def _space_with(classes: Sequence[str], manifest: Manifest) -> LabelSpace:
    """The label space that has the codes of `classes`: the manifest's, or the packaged one of its name."""
    space = manifest.space
    if not set(classes) <= set(space.names):
        space = whole_space(space)
    missing = [name for name in classes if name not in space.names]
    if missing:
        raise InputError(
            f"{manifest.named}: label space {space.name} has no class {missing[0]!r}; name the one that has its codes "
            "with --label-space, such as pancreatic_ct"
        )
    return space


def _settings(points: Sequence[OperatingPoint]) -> tuple[dict[str, tuple[float, float]], Protocol]:
    """Threshold and least volume by class, and the one protocol of all points."""
    if not points:
        return {}, Protocol()
    names = [point.name for point in points]
    if len(set(names)) < len(names):
        raise PredictionError(f"two operating points of one class ({', '.join(names)}); give one a class")
    for point in points:
        if point.score != "max_candidate" or point.protocol != points[0].protocol:
            raise PredictionError(
                f"the operating point for {point.name} is on {point.score}, or its candidates were made otherwise than "
                f"those of {names[0]}; a report needs points on max_candidate, of one `detect`"
            )
    return {p.name: (p.threshold, p.min_volume_mm3) for p in points}, Protocol.from_dict(points[0].protocol)


def _candidates(
    answers: Predictions, case: str, grid: Grid, wanted: Sequence[str], protocol: Protocol, space: LabelSpace,
    thresholds: dict[str, tuple[float, float]],
) -> Iterator[_Kept]:  # fmt: skip
    """Candidates of one case at or above their points, class by class, ranked as `detect` ranks them."""
    for name, answer in answers.maps(case, wanted, {}, space=space, onto=grid):
        differs = grid.difference(answer.grid)
        if differs:
            raise GeometryError(f"{case}: the prediction is not on the grid of its series ({differs})")
        least, volume = thresholds.get(name, (0.0, 0.0))
        found = find_candidates(answer, protocol).candidates
        order = sorted(range(len(found)), key=lambda n: (-found[n].confidence, -found[n].voxels, n))
        for rank, number in enumerate(order, 1):
            one = found[number]
            if one.confidence >= least and one.voxels * grid.voxel_volume >= volume - 1e-9:
                yield _Kept(name, rank, one)


def _write(
    folder: Path, source: Sequence[Path], grid: Grid, kept: Sequence[_Kept], classes: Sequence[str], space: LabelSpace,
    algorithm: str,
) -> None:  # fmt: skip
    segmentation = None
    if kept:
        segments = LabelSpace(space.name, tuple(_segment(one, space) for one in kept), space.version)
        masks = {_named(one): _mask(one.candidate, grid) for one in kept}
        segmentation = write_seg(
            folder / SEGMENTATION, masks, source=source, space=segments, kind=BINARY, algorithm=algorithm
        )
    findings = [
        Finding(one.name, one.rank, one.candidate.confidence, size["volume_mm3"], size["diameter_mm"], number)
        for number, one in enumerate(kept, 1)
        for size in [size_of(one.candidate.component, grid)]
    ]
    write_measurement_report(
        folder / REPORT, findings, segmentation=segmentation, source=source, space=space, classes=classes,
        algorithm=algorithm,
    )  # fmt: skip


def _named(one: _Kept) -> str:
    return f"{one.name}_{one.rank}"


def _segment(one: _Kept, space: LabelSpace) -> Any:
    """The class of a label space as one segment of several: its codes, its name with a number."""
    label = space[one.name]
    shown = f"{(label.display or label.name)[:58]} {one.rank}"
    return replace(label, name=_named(one), display=shown, synonyms=(), union_of=(), excludes=())


def _mask(candidate: Candidate, grid: Grid) -> NDArray[np.uint8]:
    mask = np.zeros(grid.shape, np.uint8)
    mask[candidate.component.box][candidate.component.mask] = 1
    return mask
