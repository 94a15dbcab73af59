"""What trivial image statistics reach, from an audit.json, to stand beside each AUC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from la_medical.errors import InputError


def shortcut_aucs(audit: Mapping[str, Any] | None) -> dict[tuple[str, str | None], float]:
    """(class, source or None for all) to the highest AUC of the audit's trivial feature sets; empty without an audit.

    Raises `InputError` for JSON that is no audit.
    """
    if audit is None:
        return {}
    if not isinstance(audit, Mapping) or "checks" not in audit:
        raise InputError("the audit is not the JSON that `la-medical audit` writes; give its audit.json")
    entries = (audit.get("shortcuts") or {}).get("entries", [])
    found = {}
    for entry in entries:
        values = [entry.get("auc")] + [one.get("auc") for one in (entry.get("feature_sets") or {}).values()]
        defined = [float(value) for value in values if value is not None]
        if entry.get("target") == "class" and defined:
            found[str(entry["name"]), entry.get("source")] = max(defined)
    return found


def audit_cautions(audit: Mapping[str, Any] | None) -> list[str]:
    """The audit's failed checks and warnings as sentences, failures first; then what it could not look at."""
    if audit is None:
        return []
    order = ("failed", "warning")
    checks = audit.get("checks", [])
    grave = sorted((c for c in checks if c.get("status") in order), key=lambda c: order.index(c["status"]))
    said = [f"Audit of the manifest, {check['name']} ({check['status']}): {check['message']}" for check in grave]
    unseen = [f"{check['name']} ({check['message']})" for check in checks if check.get("status") == "cannot be checked"]
    if unseen:
        said.append(f"The audit could not check: {'; '.join(unseen)}.")
    return said


def other_manifest_caution(audit: Mapping[str, Any] | None, sources: Mapping[str, int]) -> list[str]:
    """A caution if the audit counted other cases than `sources` (rows of each source of the manifest) has."""
    about = (audit or {}).get("manifest") or {}
    counted = about.get("sources")
    if not isinstance(counted, Mapping) or dict(counted) == dict(sources):
        return []
    return [
        f"The audit is of another manifest ({about.get('name', 'unnamed')}: {_counts(counted)}) than the one evaluated "
        f"({_counts(sources)}): its baselines do not belong beside these figures. Audit the evaluated manifest."
    ]


def _counts(sources: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(sources.items()))
