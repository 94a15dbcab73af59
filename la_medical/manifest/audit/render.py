"""The audit on a terminal and as one HTML file."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from la_medical.artifacts import write_json, write_text
from la_medical.manifest.audit.checks import CANNOT, FAILED, PASSED, WARNING
from la_medical.manifest.audit.result import Audit

MARKS = {FAILED: "FAILED", WARNING: "warning", CANNOT: "cannot be checked", PASSED: "passed"}
ORDER = [FAILED, WARNING, CANNOT, PASSED]


def write_audit(audit: Audit, folder: str | Path) -> list[Path]:
    """Write `audit.json` and `audit.html` into `folder`; returns their paths."""
    folder = Path(folder)
    write_json(folder / "audit.json", audit.to_dict())
    write_text(folder / "audit.html", html(audit))
    return [folder / "audit.json", folder / "audit.html"]


def terminal_lines(audit: Audit, width: int = 110) -> list[str]:
    """Coverage, confounding and checks as lines of plain text, the worst checks last, where they are seen."""
    about = audit.about
    lines = [f"{about['name'] or 'manifest'}: {about['rows']} cases, sources {_counts(about['sources'])}"]
    lines.append(f"splits: {_counts(about['splits'])}")
    if about["phantom"]:
        lines.append("PHANTOM: some of these images are drawn by a program and show no patient")
    lines += ["", "coverage: positive / negative / uncertain / unknown"]
    lines += _table(["class", *sorted(about["sources"])], _coverage_rows(audit))
    figures = _figure_rows(audit)
    if figures:
        lines += ["", "what gives a class away"]
        lines += _table(["class", "source", "Cramer's V", "source AUC", "shortcut AUC", "interval", "n"], figures)
    lines += ["", "checks"]
    for status in reversed(ORDER):
        for check in audit.checks:
            if check.status == status:
                lines += _check_lines(check.name, MARKS[status], check.count, check.message, check.cases, width)
    counts = audit.counts()
    lines += ["", ", ".join(f"{counts[status]} {status}" for status in ORDER)]
    return lines


def html(audit: Audit) -> str:
    """One self-contained page: no script, no network, light and dark."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("la_medical.manifest.audit", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    checks = sorted(audit.checks, key=lambda check: ORDER.index(check.status))
    sources = sorted(audit.about["sources"])
    cells = {(entry["class"], entry["source"]): entry for entry in audit.coverage}
    return environment.get_template("audit.html.j2").render(
        audit=audit, checks=checks, sources=sources, cells=cells, counts=audit.counts(), figures=_figure_rows(audit)
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or '(blank)'} {count}" for name, count in counts.items())


def _coverage_rows(audit: Audit) -> list[list[str]]:
    cells = {
        (entry["class"], entry["source"]): "-"
        if entry["unknown"] == entry["rows"]
        else f"{entry['positive']}/{entry['negative']}/{entry['uncertain']}/{entry['unknown']}"
        for entry in audit.coverage
    }
    sources = sorted(audit.about["sources"])
    return [[name, *(cells[name, source] for source in sources)] for name in audit.about["classes"]]


def _figure_rows(audit: Audit) -> list[list[str]]:
    """Class (or source), source, V, source AUC, shortcut AUC, its interval, n; "" where a figure does not exist."""
    confounds = {entry["class"]: entry for entry in audit.confounding}
    trivial = audit.shortcuts["entries"] if audit.shortcuts else []
    rows = []
    for name in audit.about["classes"]:
        entry = confounds[name]
        own: list[dict[str, Any]] = [e for e in trivial if e["target"] == "class" and e["name"] == name]
        pooled = next((e for e in own if e["source"] is None), None)
        if entry["reason"] is None or (pooled and pooled["auc"] is not None):
            rows.append([name, "all", _number(entry["cramers_v"]), _number(entry["source_auc"]), *_shortcut(pooled)])
        rows += [[name, e["source"], "", "", *_shortcut(e)] for e in own if e["source"] is not None and e["auc"]]
    for e in trivial:
        if e["target"] == "source" and e["auc"] is not None:
            rows.append([f"(source {e['name']})", "all", "", "", *_shortcut(e)])
    return rows


def _shortcut(entry: dict[str, Any] | None) -> list[str]:
    if entry is None or entry["auc"] is None:
        return ["", "", str(entry["n"]) if entry else ""]
    return [_number(entry["auc"]), f"{entry['low']:.3f} to {entry['high']:.3f}", str(entry["n"])]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]


def _check_lines(name: str, mark: str, count: int, message: str, cases: tuple[str, ...], width: int) -> list[str]:
    number = f" ({count})" if count else ""
    lines = wrap(f"{mark:18}{name}{number}: {message}", width, initial_indent="  ", subsequent_indent=" " * 20)
    if cases and mark != MARKS[PASSED]:
        shown = ", ".join(cases[:5]) + (", ..." if count > 5 else "")
        lines += wrap(shown, width, initial_indent=" " * 20, subsequent_indent=" " * 20)
    return lines
