"""Relative links of the documentation lead to files that are there, and anchors to headings."""

import re
import unicodedata
from pathlib import Path

import pytest

from tests.docs.blocks import REPOSITORY, pages

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
PAGES = [pytest.param(page, id=page.relative_to(REPOSITORY).as_posix()) for page in pages()]


def text_of(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """As GitHub and MyST make them of headings."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", heading).lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors(page: Path) -> None:
    for link in (one or other for one, other in _LINK.findall(text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert target.is_relative_to(REPOSITORY), f"{page.name}: {link} leaves the repository"
        assert not anchor or anchor in anchors(target), f"{page.name}: no heading {anchor!r} in {target.name}"


def test_every_page_can_be_reached_from_the_index() -> None:
    """Decisions are listed by their folder."""
    index = REPOSITORY / "docs" / "index.md"
    reached, left = {index}, [index]
    while left:
        page = left.pop()
        for link in (one or other for one, other in _LINK.findall(text_of(page))):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                left.append(target)
    missing = {page for page in pages() if "decisions" not in page.parts} - reached - {REPOSITORY / "CONTRIBUTING.md"}
    assert not missing, f"no link leads to {', '.join(sorted(page.name for page in missing))}"
