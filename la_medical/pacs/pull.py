"""Studies of an archive into a folder that `la-medical scan` reads (WADO-RS, PS3.18 section 10.4).

OUT/<study UID>/<series UID>/<instance UID>.dcm, each file written whole or not at all. Run again, only what is missing
is asked for. The files are as the archive has them, identifiers included.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from la_medical.artifacts import written_whole
from la_medical.errors import PacsError
from la_medical.pacs.query import find_instances, find_series
from la_medical.pacs.server import Server, checked_uid
from la_medical.progress import progress

_AS_STORED = (("application/dicom", "*"),)
"""The transfer syntax that the archive holds: nothing is compressed, or decompressed, on the way."""


@dataclass(frozen=True)
class Pulled:
    """What a pull brought: `fetched` files now, `present` from before, in `series` of `studies`."""

    studies: int
    series: int
    fetched: int
    present: int


def pull(server: Server, study_uids: Sequence[str], out: str | Path, *, modalities: Sequence[str] = ()) -> Pulled:
    """Fetch whole studies, or their series of some modalities.

    Args:
        server: the archive.
        study_uids: which studies.
        out: folder; made readable by its owner only where it does not exist yet.
        modalities: such as `CT`; none for all.

    Raises:
        PacsError: no study named, one that is not found, an archive that cannot be asked, or that sends something else
            or less than it lists. What came stays; the same call goes on from there.
    """
    studies = list(dict.fromkeys(checked_uid(uid) for uid in study_uids))
    if not studies:
        raise PacsError("no study to fetch; give study UIDs, a table of them, or something to find them by")
    folder = Path(out)
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
    fetched = present = series_count = 0
    for study in progress(studies, what="studies fetched"):
        for series in find_series(server, study, modalities=modalities)["series_uid"]:
            new, old = _pull_series(server, study, checked_uid(series), folder / study / series)
            fetched, present, series_count = fetched + new, present + old, series_count + 1
    return Pulled(len(studies), series_count, fetched, present)


def _pull_series(server: Server, study: str, series: str, folder: Path) -> tuple[int, int]:
    """Files fetched now, and files that were there."""
    wanted = {checked_uid(uid) for uid in find_instances(server, study, series)["instance_uid"]}
    missing = {uid for uid in wanted if not (folder / f"{uid}.dcm").is_file()}
    if missing:
        for dataset in _instances(server, study, series, missing, whole=missing == wanted):
            uid = str(dataset.get("SOPInstanceUID", ""))
            if uid in missing and str(dataset.get("SeriesInstanceUID", "")) == series:
                _write(dataset, folder / f"{uid}.dcm")
    late = [uid for uid in missing if not (folder / f"{uid}.dcm").is_file()]
    if late:
        raise PacsError(
            f"{server.url}: {len(late)} of {len(wanted)} instances of series {series} did not come; run the same "
            "command again, it goes on from here"
        )
    return len(missing), len(wanted) - len(missing)


def _instances(server: Server, study: str, series: str, missing: Iterable[str], *, whole: bool) -> Iterator[Any]:
    """Data sets as they arrive: the series in one stream, or only what an earlier pull left out."""
    with server.answering(f"series {series}"):
        if whole:
            yield from server.client.iter_series(study, series, media_types=_AS_STORED)
        else:
            for uid in sorted(missing):
                yield server.client.retrieve_instance(study, series, uid, media_types=_AS_STORED)


def _write(dataset: Any, path: Path) -> None:
    with warnings.catch_warnings(), written_whole(path) as temporary:
        warnings.simplefilter("ignore")  # of values that break their rules, which are kept as they are
        dataset.save_as(temporary, enforce_file_format=True)
