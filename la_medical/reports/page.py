"""The frame that every report shares: one self-contained HTML file, no network, nothing from data unescaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from la_medical.artifacts import write_text
from la_medical.reports.drawing import Drawing, save

WHOLE = 26
"""Characters from which a line of a cell may break."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Table:
    """A table of figures; `rows` are (cells, is a sub-row)."""

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[Sequence[str], bool]]
    note: str = ""


@dataclass(frozen=True)
class Part:
    """Figures that belong together; with a title they can be folded away."""

    drawings: Sequence[Drawing]
    title: str = ""
    open: bool = True


@dataclass(frozen=True)
class Group:
    """A section of figures."""

    title: str
    parts: Sequence[Part]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """What a report says, from the head line to how it was made.

    `cases`: the content of the case table and viewer (see `case_table.py`), None for none.
    """

    title: str
    kind: str
    about: str
    headline: Sequence[str]
    cautions: Sequence[str]
    phantom: str = ""
    tables: Sequence[Table] = ()
    groups: Sequence[Group] = ()
    cases: Mapping[str, Any] | None = None
    cases_note: str = ""
    made: Sequence[tuple[str, str]] = field(default_factory=list)
    foot: str = ""


def write_page(page: Page, folder: str | Path) -> Path:
    """Write `report.html` and every figure as SVG, PNG and CSV in `figures/`; returns the path of the page."""
    folder = Path(folder)
    for group in page.groups:
        for part in group.parts:
            for drawing in part.drawings:
                save(drawing, folder / "figures")
    target = folder / "report.html"
    write_text(target, html(page))
    return target


def html(page: Page) -> str:
    """The page as text. All text is escaped by the template; the script puts data in as text nodes only."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(breakable=_breakable, lines=_lines)
    content = {
        **{key: getattr(page, key) for key in ("title", "kind", "about", "headline", "phantom", "cases_note", "foot")},
        # a sentence that the banner says need not be said twice
        "cautions": [caution for caution in page.cautions if not (page.phantom and caution.startswith("PHANTOM"))],
        "tables": [
            {"key": t.key, "title": t.title, "columns": t.columns, "note": t.note,
             "rows": [{"cells": cells, "sub": sub} for cells, sub in t.rows]}
            for t in page.tables
        ],
        "groups": [
            {
                "title": g.title,
                "note": g.note,
                "parts": [
                    {"title": p.title, "open": p.open, "drawings": [_figure(d) for d in p.drawings]} for p in g.parts
                ],
            }
            for g in page.groups
        ],
        "cases": Markup(json_for_script(page.cases)) if page.cases else "",
        "made": page.made,
    }  # fmt: skip
    return environment.get_template("page.html.j2").render(
        page=content,
        css=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((_TEMPLATES / "page.js").read_text(encoding="utf-8")),
    )


def json_for_script(content: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the text in it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace(chr(0x2028), "\\u2028")


def _breakable(text: str) -> Markup:
    """Escaped; a long name in snake case may break after each underscore."""
    return escape(text).replace("_", Markup("_<wbr>"))


def _lines(text: str) -> Markup:
    """Escaped; short lines of a cell stay whole, so that an interval does not break at its dash."""
    whole = Markup('<span class="whole">{}</span>')
    return Markup("\n").join(whole.format(line) if len(line) < WHOLE else escape(line) for line in text.split("\n"))


def _figure(drawing: Drawing) -> dict[str, Any]:
    wide = drawing.name in ("coverage", "training_curves", "validation_curves", "query_similarity", "differences")
    return {
        "name": drawing.name,
        "title": drawing.title,
        "caption": drawing.caption,
        "alt": drawing.alt,
        "svg": Markup(drawing.inline),  # drawn by matplotlib, which escapes the text it is given
        "wide": wide,
    }
