"""Sources of chest X-ray phantoms: several partially labelled folders, as a hospital would bring them together."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from la_medical.artifacts import write_text, written_whole
from la_medical.phantoms.chest_drawing import FINDINGS, Thorax, draw
from la_medical.phantoms.wanted_sources import wanted_sources

SOURCES: Mapping[str, tuple[str, ...]] = {
    "phantom_a": ("no_finding", "pneumonia", "effusion", "cardiomegaly", "nodule", "pneumothorax"),
    "phantom_b": ("pneumonia", "effusion"),
    "phantom_c": ("cardiomegaly", "nodule", "pneumothorax"),
}
"""Source to the classes its readers looked for: one that knows all, two that know different parts."""

PREVALENCE = {"pneumonia": 0.30, "effusion": 0.28, "cardiomegaly": 0.28, "nodule": 0.30, "pneumothorax": 0.26}
HEALTHY = 0.15
"""Share of patients without any finding, before each finding is drawn with its prevalence."""

MARK = "PHANTOM"


def write_sources(
    out: str | Path,
    sources: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    patients: int = 100,
    seed: int = 0,
    size: int = 192,
) -> list[Path]:
    """Write one folder a source: `images/*.png`, `labels.csv` and `card.yaml`. The same arguments give the same bytes.

    Args:
        out: folder that receives `<source>/`.
        sources: source name to the classes it knows, or names of `SOURCES`; None for all of `SOURCES`.
        patients: patients in each source; each has one or two images.
        seed: of everything that is random.
        size: image side, pixels.

    Returns:
        The folders, in the order of `sources`.

    Raises:
        InputError: a source name that does not start with `phantom`, a class that cannot be drawn, no patients.
    """
    wanted = wanted_sources(sources, patients, known=SOURCES, drawn=("no_finding", *FINDINGS))
    return [
        _write_source(Path(out) / name, name, tuple(classes), patients=patients, seed=seed, size=size)
        for name, classes in wanted.items()
    ]


def _write_source(folder: Path, name: str, classes: tuple[str, ...], *, patients: int, seed: int, size: int) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    site = np.random.default_rng([seed, *name.encode()])
    dose = float(site.uniform(0.8, 1.4))  # each hospital has its own machine
    rows = []
    for patient in range(patients):
        generator = np.random.default_rng([seed, patient, *name.encode()])
        thorax, findings = Thorax.draw(generator), _findings(generator)
        for image in range(1 + int(generator.random() < 0.3)):
            case = f"{name}_{patient:04d}_{image}"
            pixels = draw(thorax, findings, generator, size=size, dose=dose)
            _write_png(folder / "images" / f"{case}.png", pixels)
            states = {label: int(label in findings or (label == "no_finding" and not findings)) for label in classes}
            rows.append([case, f"{name}_{patient:04d}", f"images/{case}.png", *_states(states)])
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["case_id", "patient_id", "image", *(f"label.{label}" for label in _ALL)])
    table.writerows(rows)
    write_text(folder / "labels.csv", stream.getvalue())
    write_text(folder / "card.yaml", yaml.safe_dump(_card(name, classes), sort_keys=False, width=110))
    return folder


_ALL = ("no_finding", *FINDINGS)


def _states(known: Mapping[str, int]) -> list[str]:
    return [str(known[label]) if label in known else "" for label in _ALL]


def _findings(generator: np.random.Generator) -> frozenset[str]:
    if generator.random() < HEALTHY:
        return frozenset()
    return frozenset(label for label in FINDINGS if generator.random() < PREVALENCE[label])


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Every image carries the same mark at the same place, so it tells nothing about a label; it is in a chunk too."""
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((2, 1), MARK, fill=200, font=ImageFont.load_default_imagefont())
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", f"{MARK}: drawn by la_medical, shows no patient")
    with written_whole(path) as temporary:
        image.save(temporary, pnginfo=text, compress_level=6)


def _card(name: str, classes: tuple[str, ...]) -> dict[str, object]:
    return {
        "name": name,
        "title": f"{MARK} chest X-rays, drawn by la_medical; they show no patient",
        "licence": "Apache-2.0",
        "label_space": "chest_xray",
        "classes": list(classes),
        "blank_means": "the class was not looked for in this source",
        "patient_id": "one build of a thorax, one or two exposures of it",
        "phantom": True,
    }
