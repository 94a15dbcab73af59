"""A full volume in one page that NiiVue draws: image, reference and predictions; opens from a file, without a network.

NiiVue (BSD 2-clause) is taken from the installed package `ipyniivue`, whose widget carries it whole.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from markupsafe import Markup

from la_medical.artifacts import write_text
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.reports.page import json_for_script
from la_medical.reports.volume_layers import case_layers

_TEMPLATES = Path(__file__).parent / "templates"
MOST_VOXELS = 120_000_000
"""Larger volumes (512 x 512 x 457) are reduced in the page: NiiVue keeps several copies of each layer."""


def write_volume_page(
    case: str, manifest: Manifest, out: str | Path, *, predictions: str | Path | None = None, whole: bool = False
) -> str:
    """Write the page of one case; returns what was left out of it in words, or "".

    Args:
        case: `case_id` of a volume that is one NIfTI, MetaImage or NRRD file.
        manifest: with its image and, if there is one, its mask.
        out: the HTML file; about a third larger than the compressed volumes, and 5 MB for NiiVue.
        predictions: folder of prediction files; probabilities are kept in 255 steps.
        whole: keep every voxel of a volume of more than `MOST_VOXELS`.

    Raises:
        InputError: no such case, no volume file, or NiiVue is not installed.
    """
    script, constructor = niivue()
    layers: list[dict[str, Any]] = []
    factor, said = 1, ""
    for layer in case_layers(case, manifest, predictions):
        if not layers and not whole and layer.values.size > MOST_VOXELS:
            factor = 2
            shape = " x ".join(map(str, layer.values.shape))
            said = f"Reduced: {shape} voxels are drawn with half the resolution in plane (--whole keeps all)."
        layers.append(layer.reduced(factor).content())
    row = manifest.table.set_index("case_id").loc[case]
    card = manifest.cards.get(str(row["source"]))
    drawn = str(row["source"]).startswith("phantom") or (card is not None and card.phantom)
    phantom = "PHANTOM: drawn by a program, no patient." if drawn else ""
    write_text(out, _page(case, phantom, said, layers, script, constructor))
    return said


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


def _page(case: str, phantom: str, reduced: str, layers: list[dict[str, Any]], script: str, constructor: str) -> str:
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    template = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["j2"]), trim_blocks=True
    ).get_template("volume.html.j2")
    # an inline script ends at "</script" and changes its rules at "<!--", wherever they stand
    safe = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return template.render(
        case=case,
        phantom=phantom,
        reduced=reduced,
        overlays=[(layer["name"], layer["opacity"]) for layer in layers[1:]],
        layers=Markup(json_for_script(layers)),
        niivue=Markup(safe),
        constructor=Markup(constructor),
    )
