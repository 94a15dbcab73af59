"""How every figure is drawn and kept: SVG and PNG that read on white and on black, and the data behind it as CSV.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; lines also differ in dash and marker.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import write_text, written_whole
from la_medical.diagnosis.output_files import write_csv

INK, FAINT, PAPER = "#1b1f24", "#8a919a", "#fefefe"
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
_VARIABLES = {
    INK: "--ink", FAINT: "--faint", PAPER: "--paper", BLUE: "--blue", ORANGE: "--orange", GREEN: "--green",
    PURPLE: "--purple", SKY: "--sky", YELLOW: "--yellow",
}  # fmt: skip

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no XML file may hold, not even escaped."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "path.simplify_threshold": 0.3,
}


@dataclass(frozen=True)
class Drawing:
    """One figure: `svg` as text, `png` bytes, `data` behind it, and what a reader must know in `caption`.

    `name` becomes the file name; `alt` says what is to be seen, for those who cannot see it.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    data: pd.DataFrame

    @property
    def inline(self) -> str:
        """The SVG for a page: its colours are the page's variables, so that it follows the theme."""
        body = self.svg[self.svg.index("<svg") :]
        for colour, variable in _VARIABLES.items():
            body = re.sub(re.escape(colour), f"var({variable}, {colour})", body, flags=re.IGNORECASE)
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        head, rest = body.split(">", 1)
        width = re.search(r'\swidth="([\d.]+)pt"', head)
        shown = f' style="max-width: {1.5 * float(width[1]):.0f}px"' if width else ""
        head = re.sub(r'\s(width|height)="[^"]*"', "", head)
        return f'{head}{shown} aria-hidden="true" focusable="false">{rest}'


def drawn(
    name: str,
    paint: Callable[[Any], None],
    *,
    title: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    size: tuple[float, float] = (4.6, 3.8),
) -> Drawing:
    """Call `paint(axes)` on an empty figure of `size` inches and keep what it drew; same data, same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # names in other scripts: the SVG keeps the text, the PNG shows boxes
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.add_subplot())
        text, image = io.StringIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
        canvas = FigureCanvasAgg(figure)
        figure.set_dpi(150)
        canvas.print_png(image, metadata={"Software": None})
    svg = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text.getvalue())
    return Drawing(name, title, caption, alt, svg, image.getvalue(), data)


MOST_MARKS = 2000
"""Marks of one figure, so that a page of 10,000 patients and many classes stays small; the CSV has all."""


def marked_rows(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows that are drawn as marks, and the sentence for the caption where they are a sample."""
    if len(table) <= MOST_MARKS:
        return table, ""
    return table.sample(MOST_MARKS, random_state=0), f" Drawn is a random sample of {MOST_MARKS}; the CSV has all."


def save(drawing: Drawing, folder: Path) -> None:
    """Write `<name>.svg`, `<name>.png` and `<name>.csv` into `folder`."""
    write_text(folder / f"{drawing.name}.svg", drawing.svg)
    with written_whole(folder / f"{drawing.name}.png") as temporary:
        temporary.write_bytes(drawing.png)
    write_csv(drawing.data, folder / f"{drawing.name}.csv")


def file_stem(*parts: str) -> str:
    """A file name made of words that come from data."""
    return "_".join(re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") or "x" for part in parts)
