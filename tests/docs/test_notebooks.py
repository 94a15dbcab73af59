"""Notebooks of the documentation run from top to bottom, and are stored without outputs."""

import subprocess
import sys

import nbformat
import pytest

from tests.docs.blocks import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "docs").rglob("*.ipynb"))
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
"""


def test_there_is_one() -> None:
    assert "evaluation.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_is_stored_without_outputs(path, tmp_path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
