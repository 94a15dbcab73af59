"""A hospital's picture archive (PACS): find studies, fetch them into a folder, send results back.

DICOMweb (QIDO-RS, WADO-RS, STOW-RS) through dicomweb-client, C-STORE through pynetdicom; both come with the extra
`pacs`. Reference: docs/reference/pacs.md.
"""

from __future__ import annotations

from la_medical.pacs.credentials import Credentials, credentials
from la_medical.pacs.pull import Pulled, pull
from la_medical.pacs.push import Pushed, push
from la_medical.pacs.query import find_instances, find_series, find_studies
from la_medical.pacs.server import Server

__all__ = [
    "Credentials",
    "Pulled",
    "Pushed",
    "Server",
    "credentials",
    "find_instances",
    "find_series",
    "find_studies",
    "pull",
    "push",
]
