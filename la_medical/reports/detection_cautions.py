"""What weakens a detector's figures: no prediction, leakage that was not checked, sources that give the class away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from la_medical.diagnosis.cautions import auroc_of_source_alone, confounded, shared_patients
from la_medical.manifest import Manifest
from la_medical.reports.audit_baselines import audit_cautions, other_manifest_caution, shortcut_aucs

FEW = 30
"""Patients of one kind below which the intervals say more than the figures."""


def detection_cautions(
    content: Mapping[str, Any], patients: pd.DataFrame, manifest: Manifest | None, audit: Mapping[str, Any] | None
) -> list[str]:
    """Every caution as a sentence, the gravest first.

    Args:
        content: of metrics.json.
        patients: of `evaluate`'s patients.parquet, one row a patient and class.
        manifest: all splits, for patients in two of them and patients without ID; None where it is not at hand.
        audit: content of audit.json.

    Raises:
        InputError: an audit that is none.
    """
    return [
        *_leakage(content, manifest),
        *_predictions(content),
        *_confounding(content, patients),
        *_points_and_numbers(content),
        *_audited(audit, manifest),
    ]


def _leakage(content: Mapping[str, Any], manifest: Manifest | None) -> list[str]:
    split, said = content["split"], []
    if split == "all":
        said.append(
            "All splits are evaluated together, also the cases that the model was trained on: the figures are too "
            "good. Evaluate --split test alone."
        )
    if manifest is None:
        if not content["patients"]["patient_ids_known"]:
            said.append("Some volumes have no patient ID: leakage between splits could not be checked for them.")
        return said
    for other, shared in shared_patients(manifest, split).items():
        said.append(
            f"{shared['patients']} patients of split {split} also occur in split {other} (such as "
            f"{shared['examples'][0]}): the figures are too good. Split again by patient."
        )
    rows = manifest.table if split == "all" else manifest.rows(split).table
    blank = rows["source"][rows["patient_id"] == ""].value_counts().sort_index()
    for source, count in blank.items():
        said.append(
            f"{count} volumes of {source or '(blank)'} have no patient ID: leakage between splits cannot be checked "
            "for them."
        )
    return said


def _predictions(content: Mapping[str, Any]) -> list[str]:
    about, said = content["patients"], []
    if about["without_prediction"] or about["volumes_without_prediction"]:
        said.append(
            f"{len(about['without_prediction'])} patients ({about['volumes_without_prediction']} volumes) have no "
            f"usable prediction; policy: {about['missing_policy']}."
        )
    if about["resampled_volumes"]:
        said.append(
            f"{about['resampled_volumes']} predictions lie on another grid than the reference and were resampled."
        )
    if about["reference_problems"]:
        said.append(f"{about['reference_problems']} references contradict their label; see protocol.json.")
    return said


def _confounding(content: Mapping[str, Any], patients: pd.DataFrame) -> list[str]:
    said = []
    for name in content["classes"]:
        mine = patients[patients["class"] == name]
        truth = mine["truth"].to_numpy(dtype=bool)
        sources = mine["source"].replace("", "(blank)").to_numpy(dtype=str)
        found = confounded(truth, sources)
        if found:
            alone = auroc_of_source_alone(truth, sources).estimate
            reaches = "" if np.isnan(alone) else f" Knowing the source alone reaches AUC {alone:.3f}."
            said.append(
                f"{name}: {'; '.join(found)}, so the figures measure partly which source a patient comes from.{reaches}"
            )
    return said


def _points_and_numbers(content: Mapping[str, Any]) -> list[str]:
    said = []
    for name, entry in content["classes"].items():
        point = entry.get("operating_point")
        if point and not point["reached"]:
            said.append(
                f"{name}: the wanted target was not reached on the data that the operating point was chosen on."
            )
        out = {why: count for why, count in entry["counts"]["left_out"].items() if count}
        if out:
            said.append(f"{name}: left out are {', '.join(f'{count} patients ({why})' for why, count in out.items())}.")
        few = min(entry["counts"]["positives"], entry["counts"]["controls"])
        if few < FEW:
            said.append(
                f"{name}: {entry['counts']['positives']} patients with the class and {entry['counts']['controls']} "
                "controls are few; read the intervals, not the figures."
            )
    return said


def _audited(audit: Mapping[str, Any] | None, manifest: Manifest | None) -> list[str]:
    if audit is None:
        return ["No audit of the manifest was given (--audit): equal images and shortcuts were not looked for."]
    shortcut_aucs(audit)  # refuses what is no audit
    counts = {} if manifest is None else manifest.table["source"].value_counts().to_dict()
    other = other_manifest_caution(audit, {str(name): int(count) for name, count in counts.items()}) if counts else []
    return [*other, *audit_cautions(audit)]
