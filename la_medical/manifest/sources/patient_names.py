"""Patients read out of names, where a source writes them nowhere else."""

from __future__ import annotations

import re

import pandas as pd

from la_medical.errors import ManifestError


def patients_of(names: pd.Series, pattern: str | None) -> pd.Series:
    """The first group of `pattern` in each name; blank for all without a pattern.

    Raises `ManifestError` for a pattern that is none, has no group, or does not match a name: a patient that is
    quietly blank could end up in two splits.
    """
    if pattern is None:
        return pd.Series("", index=names.index, dtype=str)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ManifestError(f"--patient-pattern {pattern!r}: no regular expression ({error})") from error
    if compiled.groups < 1:
        raise ManifestError(f"--patient-pattern {pattern!r}: put what is the patient in parentheses")
    found = names.map(compiled.search)
    missed = names[found.isna()]
    if len(missed):
        raise ManifestError(f"--patient-pattern {pattern!r} does not match {missed.iloc[0]!r}")
    return found.map(lambda match: match.group(1) or "")
