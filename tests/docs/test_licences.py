"""The page of licences names every locked package in its version."""

import runpy

from tests.docs.blocks import REPOSITORY


def test_every_locked_package_is_on_the_page() -> None:
    tools = runpy.run_path(str(REPOSITORY / "docs" / "licences.py"))
    rows = [line.strip("| ").split(" | ") for line in (REPOSITORY / "docs" / "licences.md").read_text().splitlines()]
    told = {row[0]: row[1:] for row in rows if len(row) == 3 and row[0] != "package"}
    assert {name: row[0] for name, row in told.items()} == tools["locked"](), "run `make licences`"
    assert len(told) > 100


def test_a_licence_is_what_the_metadata_says() -> None:
    tools = runpy.run_path(str(REPOSITORY / "docs" / "licences.py"))
    assert "BSD" in tools["licence"]("scikit-learn")
    assert "Apache" in tools["licence"]("monai")
