"""Commands about a picture archive: `pacs query`, `pacs pull`, `pacs push`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_SECRETS = (
    "Credentials come from the environment (LA_MEDICAL_PACS_USER and LA_MEDICAL_PACS_PASSWORD, or "
    "LA_MEDICAL_PACS_TOKEN) or from --credentials FILE. See docs/reference/pacs.md."
)


def add_commands(commands: Any) -> None:
    """Add this file's commands to `commands`, what `argparse` calls subparsers."""
    p = commands.add_parser(
        "pacs",
        help="find, fetch and send DICOM in a picture archive",
        description="Find studies in a picture archive (PACS), fetch them into a folder, send results back.",
    )
    actions = p.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_query(actions)
    _add_pull(actions)
    _add_push(actions)


def _add_query(actions: Any) -> None:
    p = actions.add_parser(
        "query",
        help="studies of an archive as a table (QIDO-RS)",
        description="List the studies of an archive that match, or their series. Identifiers are shown as they are. "
        + _SECRETS,
    )
    _add_server(p)
    _add_filters(p)
    p.add_argument("--series", action="store_true", help="one row a series instead of one a study")
    p.add_argument("--limit", type=int, metavar="N", help="at most so many studies")
    p.add_argument("--out", type=Path, metavar="CSV", help="write the table to a file, not to the screen")
    p.set_defaults(run=_query)


def _add_pull(actions: Any) -> None:
    p = actions.add_parser(
        "pull",
        help="studies of an archive into a folder that `la-medical scan` reads (WADO-RS)",
        description="Fetch studies into OUT/<study>/<series>/<instance>.dcm, identifiers included. Run again, it "
        "fetches only what is missing. " + _SECRETS,
    )
    _add_server(p)
    p.add_argument("study_uids", nargs="*", metavar="STUDY_UID", help="studies to fetch")
    p.add_argument("--studies", type=Path, metavar="CSV", help="a table with a column study_uid, as query --out writes")
    _add_filters(p)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fetch into")
    p.set_defaults(run=_pull)


def _add_push(actions: Any) -> None:
    p = actions.add_parser(
        "push",
        help="DICOM files to an archive (STOW-RS or C-STORE)",
        description="Send DICOM files, and folders of them, unchanged. URL is a DICOMweb address, or "
        "dicom://HOST:PORT/AETITLE for C-STORE (dicoms:// over TLS). " + _SECRETS,
    )
    _add_server(p)
    p.add_argument("paths", nargs="+", metavar="PATH", help="DICOM files, and folders that are searched for them")
    p.add_argument("--calling-aet", default="LA_MEDICAL", metavar="AET", help="our name towards a dicom:// archive")
    p.set_defaults(run=_push)


def _add_server(p: argparse.ArgumentParser) -> None:
    p.add_argument("url", metavar="URL", help="DICOMweb address, as https://pacs.hospital.org/dicom-web")
    p.add_argument("--credentials", type=Path, metavar="FILE", help='JSON {"user": ..., "password": ...}, mode 600')
    p.add_argument("--ca-file", type=Path, metavar="PEM", help="authority that signed the archive's certificate")
    p.add_argument("--clear-text", action="store_true", help="allow http:// and dicom:// to other machines")


def _add_filters(p: argparse.ArgumentParser) -> None:
    p.add_argument("--patient", metavar="ID", help="patient ID; * and ? stand for any letters and any letter")
    p.add_argument("--accession", metavar="NUMBER", help="accession number")
    p.add_argument("--study", metavar="UID", help="one study")
    p.add_argument("--date", metavar="DATE", help="YYYYMMDD, or a range such as 20240101-20241231")
    p.add_argument("--description", metavar="TEXT", help="study description; * and ? as above")
    p.add_argument("--modality", metavar="M", help="studies with such a series, and only such series of them")


def _query(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from la_medical.artifacts import write_text
    from la_medical.pacs.query import SERIES_COLUMNS, find_series

    server = _server(arguments)
    table = _studies(server, arguments, arguments.limit)
    what = "studies"
    if arguments.series:
        modalities = [arguments.modality] if arguments.modality else []
        parts = [find_series(server, uid, modalities=modalities) for uid in table["study_uid"]]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SERIES_COLUMNS), dtype=str)
        what = "series"
    if arguments.out:
        write_text(arguments.out, table.to_csv(index=False, lineterminator="\n"))
        print(f"{arguments.out}: {len(table)} {what}")
    else:
        print(table.to_string(index=False) if len(table) else f"no {what} found")


def _pull(arguments: argparse.Namespace) -> None:
    from la_medical.pacs.pull import pull

    server = _server(arguments)
    uids = list(arguments.study_uids)
    if arguments.studies:
        uids += _study_column(arguments.studies)
    if any((arguments.patient, arguments.accession, arguments.study, arguments.date, arguments.description)):
        uids += list(_studies(server, arguments, None)["study_uid"])
    done = pull(server, uids, arguments.out, modalities=[arguments.modality] if arguments.modality else [])
    print(
        f"{arguments.out}: {done.fetched} files fetched, {done.present} there already; "
        f"{done.series} series of {done.studies} studies"
    )


def _push(arguments: argparse.Namespace) -> None:
    from la_medical.pacs.credentials import credentials
    from la_medical.pacs.push import push

    done = push(
        arguments.url,
        arguments.paths,
        credentials=credentials(arguments.credentials),
        ca_file=arguments.ca_file,
        clear_text=arguments.clear_text,
        calling_aet=arguments.calling_aet,
    )
    print(f"{arguments.url}: {done.sent} instances stored, {done.ignored} other files left out")


def _server(arguments: argparse.Namespace) -> Any:
    from la_medical.pacs.credentials import credentials
    from la_medical.pacs.server import Server

    return Server(arguments.url, credentials(arguments.credentials), arguments.ca_file, arguments.clear_text)


def _studies(server: Any, arguments: argparse.Namespace, limit: int | None) -> Any:
    from la_medical.pacs.query import find_studies

    return find_studies(
        server,
        study_uid=arguments.study,
        patient_id=arguments.patient,
        accession_number=arguments.accession,
        study_date=arguments.date,
        modality=arguments.modality,
        description=arguments.description,
        limit=limit,
    )


def _study_column(path: Path) -> list[str]:
    from la_medical.errors import InputError
    from la_medical.tables import read_table

    table = read_table(path)
    if "study_uid" not in table:
        raise InputError(f"{path}: no column study_uid; write the table with la-medical pacs query --out")
    return [uid for uid in table["study_uid"].drop_duplicates() if uid]
