"""Sphinx: these Markdown pages, and an API reference made of the docstrings. `make docs` builds it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import la_medical

HERE = Path(__file__).parent

project = "la_medical"
author = "The la_medical developers"
copyright = author
version = release = la_medical.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"la_medical {version}"
html_copy_source = False
html_show_sphinx = False
nitpicky = False

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

autodoc_mock_imports = ["distributed", "dask", "onnx", "onnxscript", "onnxruntime", "mlflow"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
add_module_names = False
python_use_unqualified_type_names = True
autodoc_default_options = {"members": True, "ignore-module-all": True}
suppress_warnings = ["ref.python"]  # three classes are named `Volume`; a docstring's Args may mean any of them
napoleon_google_docstring = True
napoleon_numpy_docstring = False

ROOMS = {
    "manifest": "Manifests: sources, assembling, splits, audit, export",
    "labels": "Label spaces and policies",
    "networks": "Class queries, networks, checkpoints",
    "losses": "Losses",
    "training": "Training",
    "inference": "Inference",
    "detection": "Detection on CT",
    "diagnosis": "2D evaluation",
    "statistics": "Figures and intervals",
    "reports": "Reports",
    "experiments": "Experiments",
    "dicom": "DICOM",
    "pacs": "PACS",
    "phantoms": "Phantoms",
}
"""What a user may import, in the order of the pages. `cli` is the command line."""


ROOT_PAGES = ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")
"""Pages beside docs/ that are part of the built documentation."""


def _write_generated(app: Any) -> None:
    """`generated/`: a page a room of the API, the pages beside docs/ and of the experiments, the list of decisions."""
    folder = HERE / "generated"
    folder.mkdir(exist_ok=True)
    for room, title in ROOMS.items():
        package = import_module(f"la_medical.{room}")
        names = [f"la_medical.{room}"]
        names += sorted(m.name for m in walk_packages(package.__path__, f"la_medical.{room}.") if "._" not in m.name)
        lines = [title, "=" * len(title), ""]
        for name in names:
            lines += [name, "-" * len(name), "", f".. automodule:: {name}", ""]
        _write(folder / f"{room}.rst", "\n".join(lines))
    names = "\n".join(f"   {room}" for room in ROOMS)
    _write(folder / "api.rst", f"API\n===\n\n.. toctree::\n   :maxdepth: 1\n\n{names}\n")
    for name in ROOT_PAGES:
        text = (HERE.parent / f"{name}.md").read_text(encoding="utf-8")
        _write(folder / f"{name.lower()}.md", text.replace("](docs/", "](/"))
    for page in sorted((HERE.parent / "experiments").glob("*/*.md")):
        text = page.read_text(encoding="utf-8").replace("](RESULTS.md)", f"](experiment_{page.parent.name}_results.md)")
        _write(folder / f"experiment_{page.parent.name}_{page.stem.lower()}.md", text)
    _write(folder / "decisions.md", "# Decisions\n\n```{toctree}\n:glob:\n\n/decisions/*\n```\n")


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


TREE = """
```{toctree}
:hidden:
:caption: Tutorials
:glob:

tutorials/*
```
```{toctree}
:hidden:
:caption: Reference
:glob:

reference/*
*
generated/api
```
```{toctree}
:hidden:
:caption: Experiments
:glob:

generated/experiment_*
```
```{toctree}
:hidden:
:caption: Project

generated/readme
generated/changelog
generated/decisions
generated/contributing
generated/security
```
"""
_BESIDE = re.compile(r"\]\((?:\.\./)+(" + "|".join(ROOT_PAGES) + r")\.md")
_EXPERIMENT = re.compile(r"\]\((?:\.\./)+experiments/(\w+)/(README|RESULTS)\.md")


def _for_sphinx(app: Any, name: str, source: list[str]) -> None:
    """The pages are plain Markdown for readers of the repository: here links beside docs/ lead to the pages made of
    them, and the index gets its table of contents.
    """
    source[0] = _BESIDE.sub(lambda found: f"](/generated/{found[1].lower()}.md", source[0])
    source[0] = _EXPERIMENT.sub(lambda found: f"](/generated/experiment_{found[1]}_{found[2].lower()}.md", source[0])
    if name == "index":
        source[0] = source[0].replace("](decisions/)", "](/generated/decisions.md)") + TREE


def _markdown(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with Markdown's backticks: escape what reStructuredText would read otherwise."""
    parts = re.split(r"(```.*?```|`[^`]+`)", "\n".join(lines), flags=re.DOTALL)
    text = "".join(_code(part) if number % 2 else _escaped(part) for number, part in enumerate(parts))
    lines[:] = _lists(text.split("\n"))


def _code(part: str) -> str:
    inner = " ".join(part.strip("`").split())
    return f"\\ ``{inner}``\\ "


def _escaped(part: str) -> str:
    return re.sub(r"([\\*|_])", r"\\\1", part)


def _lists(lines: list[str]) -> list[str]:
    """Blank lines around lists and drawings, which Markdown does not need."""
    out: list[str] = []
    for line in lines:
        item = re.match(r" *(-|\d+\.) ", line)
        if item and out and out[-1].strip() and not re.match(r" *(-|\d+\.) ", out[-1]):
            out.append("")
        out.append(line)
    return out


def setup(app: Any) -> None:
    """Hooks into Sphinx."""
    app.connect("builder-inited", _write_generated)
    app.connect("source-read", _for_sphinx)
    app.connect("autodoc-process-docstring", _markdown, priority=100)  # before napoleon's sections
