"""The model card of a published bundle: README.md with the header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from la_medical.networks.checkpoint import Checkpoint
from la_medical.publishing.measured import cell, results

TASKS = {"classifier": "image-classification", "segmenter": "image-segmentation"}
"""Kind of network to the Hub's `pipeline_tag`."""
ANSWERS = {
    "classifier": "It answers a radiograph of the chest with one probability for each class below.",
    "segmenter": "It answers a CT of the abdomen with a probability for each class below at every voxel.",
}


def model_card(checkpoint: Checkpoint, *, name: str, metrics: Mapping[str, Any] | None = None) -> str:
    """Markdown: intended use, sources and licences, classes and where their labels come from, results, limits.

    `metrics`: content of a `metrics.json`; None says that nothing was measured.
    """
    made_from = checkpoint.provenance
    kind = str(checkpoint.network_config.get("kind", "classifier"))
    sources = made_from.get("sources", {})
    phantom = bool(made_from.get("phantom")) or any(str(source).startswith("phantom") for source in sources)
    title = f"{'PHANTOM: ' if phantom else ''}{name}"
    lines = ["---", "library_name: monai", "license: apache-2.0", f"pipeline_tag: {TASKS[kind]}"]
    lines += ["tags:", "- medical", "- monai", "- la_medical", *["- phantom"] * phantom, "---", "", f"# {title}", ""]
    if phantom:
        lines += ["**PHANTOM**: trained on drawn images. It knows nothing of patients.", ""]
    lines += ["## Intended use", "", *USE, "", ANSWERS[kind], ""]
    lines += ["## Training", "", *_training(made_from), ""]
    lines += ["## Training sources", "", *_sources(sources), ""]
    lines += ["## Classes", "", *_classes(checkpoint), ""]
    lines += ["## Results", "", *results(metrics, checkpoint.classes, sorted(sources)), ""]
    lines += ["## Limits", "", *LIMITS, ""]
    return "\n".join(lines)


USE = (
    "Research only. Not a medical device, and not for diagnosing or treating anybody.",
    "Meant for studies on data whose reference is known, and as a start for further training.",
)
LIMITS = (
    "- It has seen the training sources above and nothing else: expect other figures in another hospital, on another "
    "scanner, in another population.",
    "- The results hold for the cases they were counted on; an interval says nothing of other sources. A class whose "
    "result is undefined or missing has not been tested.",
    "- Not shown: figures by sex, age, scanner or protocol unless they stand above; how it does on images of poor "
    "quality; prospective use; what readers do with it.",
    "- A label that a source does not state was unknown in training, never negative.",
    "- A probability is no threshold: choose an operating point on validation data of your own.",
)


def _training(made_from: Mapping[str, Any]) -> list[str]:
    """Cases, geometry, the epoch kept, versions: what the checkpoint knows of these."""
    manifest, settings = made_from.get("manifest", {}), made_from.get("settings", {})
    best, versions = made_from.get("best", {}), made_from.get("versions", {})
    lines = []
    if cases := manifest.get("cases"):
        lines.append(f"- {cases.get('train')} cases to learn from, {cases.get('val')} to choose the epoch by.")
    if manifest.get("sha256"):
        lines.append(f"- Manifest: sha256 `{manifest['sha256']}`.")
    units = {"image_size": "pixels", "spacing": "mm", "window": "HU", "patch_size": "voxels"}
    given = {key: settings[key] for key in units if settings.get(key) is not None}
    if given:
        lines.append(f"- {'; '.join(f'{key} {cell(value)} {units[key]}' for key, value in given.items())}.")
    if best.get("epoch") is not None:
        lines.append(f"- Weights of epoch {best['epoch']}, validation score {best['score']:.3f}: not a result.")
    if versions:
        lines.append(f"- {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.")
    return lines or ["The checkpoint says nothing of it."]


def _sources(sources: Mapping[str, Any]) -> list[str]:
    if not sources:
        return ["The checkpoint names none."]
    rows = ["| source | title | licence |", "|---|---|---|"]
    for name, card in sorted(sources.items()):
        title, licence = (cell(card.get(key)) or "not stated" for key in ("title", "licence"))
        rows.append(f"| {cell(name)} | {title} | {licence} |")
    rows += [
        "",
        "The licence in the header is that of these files. A source's licence may forbid sharing or selling what was",
    ]
    return [*rows, "trained on it."]


def _classes(checkpoint: Checkpoint) -> list[str]:
    known = checkpoint.provenance.get("classes", {})
    rows = ["Counts are cases of the training split.", ""]
    rows += ["| channel | class | positive | negative | unknown | labels from |", "|---|---|---|---|---|---|"]
    for channel, name in enumerate(checkpoint.classes):
        own = known.get(name, {})
        counts = " | ".join(cell(own.get(key)) for key in ("positive", "negative", "unknown"))
        rows.append(f"| {channel} | {name} | {counts} | {cell(', '.join(own.get('sources', [])))} |")
    return rows
