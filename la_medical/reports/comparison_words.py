"""A paired comparison in words: what differs, how surely, and what the data cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "location_aware_sensitivity": "sensitivity, located",
    "auroc": "AUC",
    "average_precision": "average precision",
}
LEVEL = 0.05


def endpoint_name(endpoint: str) -> str:
    """An endpoint of comparison.json as people say it."""
    return NAMES.get(endpoint, endpoint.replace("_", " "))


def as_shown(endpoint: str, value: float | None, *, sign: bool = False) -> str:
    """A value or difference: in per cent (points) for proportions of patients, else as a number."""
    if value is None:
        return "?"
    rate = endpoint.endswith(("sensitivity", "specificity"))
    text = f"{100 * value:{'+' if sign else ''}.1f}" if rate else f"{value:{'+' if sign else ''}.3f}"
    return text if not rate else text + (" points" if sign else "%")


def difference_in_words(name: str, endpoint: str, one: Mapping[str, Any], level: float = 0.95) -> str:
    """One sentence on an endpoint, with both values, the difference, its interval, its p-values and the verdict."""
    what = f"{endpoint_name(endpoint)[:1].upper()}{endpoint_name(endpoint)[1:]} for {name}"
    if one["estimate"] is None:
        return f"{what}: not compared ({one['reason']})."
    text = f"{what}: A {as_shown(endpoint, one['a'])}, B {as_shown(endpoint, one['b'])}; A minus B "
    text += as_shown(endpoint, one["estimate"], sign=True)
    if one["low"] is not None and one["high"] is not None:
        low, high = (as_shown(endpoint, one[key], sign=True).removesuffix(" points") for key in ("low", "high"))
        text += f" ({100 * level:g}% CI {low} to {high})"
    if one["p_value"] is not None:
        adjusted = "" if one["p_holm"] is None else f", {one['p_holm']:.2g} after Holm's adjustment"
        text += f", p = {one['p_value']:.2g}{adjusted}"
    return f"{text}. {verdict(one)}"


def verdict(one: Mapping[str, Any]) -> str:
    """Which model is better, if the data show it after adjusting for the number of tests."""
    p_value = one["p_holm"] if one["p_holm"] is not None else one["p_value"]
    if p_value is None:
        return "There is no test of this."
    if p_value >= LEVEL:
        return "No difference is shown."
    return f"{'A' if one['estimate'] > 0 else 'B'} is better on these patients."


def non_inferiority_in_words(one: Mapping[str, Any]) -> str:
    """Blank without a margin."""
    found = one.get("non_inferiority")
    if not found:
        return ""
    if found.get("non_inferior") is None:
        return f"not judged\n{found.get('reason') or ''}"
    return "A is not inferior" if found["non_inferior"] else "not shown"
