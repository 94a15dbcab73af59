"""The model card of a published bundle: README.md with the header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from la_medical.networks.checkpoint import Checkpoint


def model_card(checkpoint: Checkpoint, *, name: str, metrics: Mapping[str, Any] | None = None) -> str:
    """Markdown: intended use, sources and licences, classes and where their labels come from, results, limits.

    `metrics`: content of a `metrics.json`; None says that nothing was measured.
    """
    made_from = checkpoint.provenance
    named = any(str(source).startswith("phantom") for source in made_from.get("sources", {}))
    phantom = bool(made_from.get("phantom")) or named
    title = f"{'PHANTOM: ' if phantom else ''}{name}"
    lines = ["---", "library_name: monai", "license: apache-2.0", "tags:", "- medical", "- monai", "- la_medical"]
    lines += ["- phantom"] * phantom + ["---", "", f"# {title}", ""]
    if phantom:
        lines += ["**PHANTOM**: trained on drawn images. It knows nothing of patients.", ""]
    lines += [
        "## Intended use",
        "",
        "Research only. Not a medical device, and not for diagnosing or treating anybody.",
        "",
    ]
    lines += ["## Training sources", "", *_sources(made_from.get("sources", {})), ""]
    lines += ["## Classes", "", *_classes(checkpoint), "", "## Results", "", *_results(metrics), ""]
    lines += ["## Limits", "", *LIMITS, ""]
    return "\n".join(lines)


LIMITS = (
    "- It has seen the training sources above and nothing else: expect other figures in another hospital, on another "
    "scanner, in another population.",
    "- The results hold for the cases they were counted on; an interval says nothing of other sources. A class whose "
    "result is undefined or missing has not been tested.",
    "- A label that a source does not state was unknown in training, never negative.",
    "- A probability is no threshold: choose an operating point on validation data of your own.",
)


def _sources(sources: Mapping[str, Any]) -> list[str]:
    rows = ["| source | title | licence |", "|---|---|---|"]
    for name, card in sorted(sources.items()):
        rows.append(f"| {name} | {_cell(card.get('title'))} | {_cell(card.get('licence'))} |")
    return rows if sources else ["The checkpoint names none."]


def _classes(checkpoint: Checkpoint) -> list[str]:
    known = checkpoint.provenance.get("classes", {})
    rows = ["| channel | class | positive | negative | unknown | labels from |", "|---|---|---|---|---|---|"]
    for channel, name in enumerate(checkpoint.classes):
        own = known.get(name, {})
        counts = " | ".join(_cell(own.get(key)) for key in ("positive", "negative", "unknown"))
        rows.append(f"| {channel} | {name} | {counts} | {_cell(', '.join(own.get('sources', [])))} |")
    return rows


def _results(metrics: Mapping[str, Any] | None) -> list[str]:
    if not metrics:
        return ["None were given to this card; nothing is claimed."]
    rows = ["| of | class | measure | estimate | interval | n |", "|---|---|---|---|---|---|"]
    parts = {"all": metrics.get("classes", {})}
    parts |= {source: part.get("classes", part) for source, part in sorted(metrics.get("sources", {}).items())}
    for of, classes in parts.items():
        for name, values in classes.items():
            rows += [f"| {of} | {name} | {m} | {_figures(v)} |" for m, v in values.items() if _is_figure(v)]
    for name, values in metrics.get("classes", {}).items():
        for part in values.get("strata", {}).get("source", []):  # of the detection `evaluate`
            rows += [f"| {part['value']} | {name} | {m} | {_figures(v)} |" for m, v in part.items() if _is_figure(v)]
    return rows


def _is_figure(value: Any) -> bool:
    return isinstance(value, Mapping) and "estimate" in value


def _figures(value: Mapping[str, Any]) -> str:
    if value["estimate"] is None:
        return f"undefined: {_cell(value.get('reason'))} | | "
    low, high = value.get("low"), value.get("high")
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return f"{value['estimate']:.3f} | {interval} | {_cell(value.get('denominator'))}"


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "/").replace("\n", " ")
