"""A full volume in one page that NiiVue draws: image, reference and predictions; opens from a file, without a network.

NiiVue (BSD 2-clause) is taken from the installed package `ipyniivue`, whose widget carries it whole.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from la_medical.artifacts import write_text
from la_medical.detection.prediction_files import open_predictions
from la_medical.detection.volumes import VOLUME_SUFFIXES, open_volume
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.page import json_for_script

_TEMPLATES = Path(__file__).parent / "templates"
SHOWN_FROM = 0.1
"""Smallest probability that is coloured."""
REFERENCE = "Reference"
COLOURS = ("red", "blue", "violet", "copper")
"""NiiVue's colour maps of the predicted classes, in order; the reference is green."""


def write_volume_page(case: str, manifest: Manifest, out: str | Path, *, predictions: str | Path | None = None) -> Path:
    """Write the page of one case.

    Args:
        case: `case_id` of a volume that is one NIfTI, MetaImage or NRRD file.
        manifest: with its image and, if there is one, its mask (values above 0 are coloured).
        out: the HTML file; about a third larger than the compressed volumes, and 5 MB for NiiVue.
        predictions: folder of prediction files; probabilities are kept in 255 steps, from `SHOWN_FROM`.

    Raises:
        InputError: no such case, no volume file, or NiiVue is not installed.
    """
    script, constructor = niivue()
    table = manifest.table
    rows = np.flatnonzero(table["case_id"] == case)
    if not len(rows):
        raise InputError(
            f"case {case!r} is not in {manifest.named}; expected a case_id of it, such as {table['case_id'].iloc[0]}"
        )
    row = int(rows[0])
    image, mask = (manifest.file_paths(column)[row] for column in ("image", "mask"))
    if image is None:
        raise InputError(f"case {case}: the manifest names no image; there is nothing to show")
    layers = [_layer("Image", image, np.int16, colormap="gray", low=-160, high=240, opacity=1.0)]
    if mask is not None:
        layers.append(_layer(REFERENCE, mask, np.bool_, colormap="green", low=0, high=1, opacity=0.5))
    if predictions is not None:
        layers += _predicted(case, manifest, Path(predictions))
    card = manifest.cards.get(str(table["source"].iloc[row]))
    phantom = "PHANTOM: drawn by a program, no patient." if card is not None and card.phantom else ""
    write_text(out, _page(case, phantom, layers, script, constructor))
    return Path(out)


def niivue() -> tuple[str, str]:
    """NiiVue's JavaScript, without its export, and the name its class has in there.

    Raises:
        InputError: the package `ipyniivue` is not installed, or is one whose widget is built in another way.
    """
    found = find_spec("ipyniivue")
    if found is None or found.origin is None:
        raise InputError("NiiVue is not installed; expected the package ipyniivue: pip install 'la_medical[view]'")
    path = Path(found.origin).parent / "static" / "widget.js"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    made = re.search(r'"Creating new Niivue instance"\);.{0,200}?=new ([\w$]+)\(', text, re.DOTALL)
    exported = re.search(r"export\s*\{[^{}]*\};?\s*$", text)
    if made is None or exported is None:
        raise InputError(
            f"{path}: not a NiiVue that can be used here; install another version, such as ipyniivue 2.4.4"
        )
    return text[: exported.start()], made.group(1)


def _layer(name: str, path: Path, kind: Any, **shown: Any) -> dict[str, Any]:
    if not path.is_file() or not path.name.endswith(VOLUME_SUFFIXES):
        raise InputError(
            f"{path}: not a volume file that can be shown; expected one of {', '.join(VOLUME_SUFFIXES)} (export a "
            "DICOM folder with `la-medical export --to nnunet` first)"
        )
    stored = open_volume(path, count=1)
    slope, inter = stored.scale
    array = next(stored.maps) * slope + inter
    if kind is np.bool_:
        values: NDArray[Any] = (array > 0).astype(np.uint8)
    else:
        values = np.clip(np.rint(array), -32768, 32767).astype(np.int16)
    return _content(name, values, stored.grid.affine, **shown)


def _predicted(case: str, manifest: Manifest, folder: Path) -> Iterator[dict[str, Any]]:
    answers = open_predictions(folder).spelled(manifest.space)
    wanted = list(answers.offered)
    found = answers.maps(case, wanted, {}, space=manifest.space, onto=None)
    for number, (name, answer) in enumerate(found):
        steps = np.rint(np.asarray(answer.values(answer.raw)) * 255).astype(np.uint8)
        yield _content(
            f"Predicted {name}", steps, answer.grid.affine, colormap=COLOURS[number % len(COLOURS)],
            low=round(255 * SHOWN_FROM), high=255, opacity=0.5,
        )  # fmt: skip


def _content(name: str, values: NDArray[Any], affine: NDArray[Any], **shown: Any) -> dict[str, Any]:
    import nibabel

    packed = gzip.compress(nibabel.Nifti1Image(values, np.asarray(affine)).to_bytes(), compresslevel=6, mtime=0)
    found = np.argwhere(values if name == REFERENCE else values[:0])
    if len(found):  # the page opens there
        shown["centre"] = (affine @ np.append(np.median(found, axis=0), 1.0))[:3].round(2).tolist()
    return {"name": name, "data": base64.b64encode(packed).decode("ascii"), **shown}


def _page(case: str, phantom: str, layers: list[dict[str, Any]], script: str, constructor: str) -> str:
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    template = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["j2"]), trim_blocks=True
    ).get_template("volume.html.j2")
    # an inline script ends at "</script" and changes its rules at "<!--", wherever they stand
    safe = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return template.render(
        case=case,
        phantom=phantom,
        overlays=[layer["name"] for layer in layers[1:]],
        layers=Markup(json_for_script(layers)),
        niivue=Markup(safe),
        constructor=Markup(constructor),
    )
