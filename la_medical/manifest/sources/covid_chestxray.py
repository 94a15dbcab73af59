"""ieee8023 covid-chestxray-dataset: `metadata.csv` and `images/`.

Traps of the layout: CT slices stand beside X-rays (only rows of modality X-ray are read); each row has its own
licence, kept as `licence`; `finding` is a path through a tree (`Pneumonia/Viral/COVID-19`), or `todo` or
`Unknown`, which says nothing; rows of one patient share `patientid`; rows of folder `volumes` are no images.
"""

from __future__ import annotations

from pathlib import Path

from la_medical.errors import ManifestError
from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.sources.case_ids import case_ids
from la_medical.manifest.sources.official_tables import need_file, read_table
from la_medical.manifest.sources.one_source import one_source
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest

_METADATA = {
    "sex": "sex", "age": "age", "view": "view", "finding": "finding", "offset": "offset_days", "location": "location",
    "license": "licence", "RT_PCR_positive": "rt_pcr_positive", "url": "url",
}  # fmt: skip
_SAYS_NOTHING = ("todo", "unknown", "")


def read(root: Path, *, card: SourceCard | None = None, check_files: bool = True) -> Manifest:
    """Read the X-ray rows; there is no official split. Raises `ManifestError`."""
    card = card or load_card("covid_chestxray")
    path = need_file(root, "metadata.csv")
    table = read_table(path, ("patientid", "finding", "modality", "folder", "filename"))
    xrays = table[table["modality"].str.strip().str.lower() == "x-ray"].reset_index(drop=True)
    if xrays.empty:
        raise ManifestError(f"{path}: no row of modality X-ray")
    columns = {
        "case_id": case_ids(xrays["filename"].str.replace(r"\.[A-Za-z]+$", "", regex=True), "covid_chestxray_"),
        "patient_id": xrays["patientid"],
        "image": xrays["folder"].where(xrays["folder"] != "", "images") + "/" + xrays["filename"],
        **{new: xrays[old] for old, new in _METADATA.items() if old in xrays.columns},
        **from_rows(xrays["finding"].map(states), card.classes, xrays.index),
    }
    return one_source(columns, root=root, card=card, check_files=check_files)


def states(finding: str) -> dict[str, int]:
    """What one `finding` says about the classes of the card; a class that is not named is unknown.

    A pneumonia without a stated cause leaves bacterial, viral and COVID-19 open; a stated other cause rules
    COVID-19 out, since these are diagnoses of one illness. `No Finding` is about the image: a patient with
    COVID-19 may have it.
    """
    parts = [part.strip().lower() for part in finding.split("/")]
    if parts[0] in _SAYS_NOTHING:
        return {}
    if parts == ["no finding"]:
        return {"no_finding": 1, "pneumonia": 0, "bacterial_pneumonia": 0, "viral_pneumonia": 0}
    found = {"no_finding": 0}
    if parts[0] == "pneumonia":
        found["pneumonia"] = 1
        found.update({f"{cause}_pneumonia": 1 for cause in ("bacterial", "viral") if cause in parts})
    if "tuberculosis" in parts:
        found["tuberculosis"] = 1
    if "covid-19" in finding.lower():
        found["covid19"] = 1
    elif "tuberculosis" in parts or (parts[0] == "pneumonia" and parts[1:] not in ([], ["viral"])):
        found["covid19"] = 0
    return found
