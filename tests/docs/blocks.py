"""Fenced blocks of a Markdown page, with what the page says about each: run by which test, or why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHELL = ("", "sh", "bash", "shell", "console")
BESIDE: dict[str, tuple[str, str] | None] = {
    "README.md": ("not run", "installs and trains for minutes, or needs ChestX-ray14 and Kermany's chest X-rays"),
}
"""Marks of pages that are shown where comments would be seen."""
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[\w.+-]*)")
_MARK = re.compile(r"<!-- (?P<kind>runs|not run): (?P<told>.+?) -->")


@dataclass(frozen=True)
class Block:
    """`text` of one fence at `line` (from 1). `mark`: ("runs", test file) or ("not run", reason), or None."""

    page: Path
    line: int
    language: str
    text: str
    mark: tuple[str, str] | None


def pages() -> list[Path]:
    """README, CONTRIBUTING and all of docs/, but not what `make docs` writes there."""
    written = REPOSITORY / "docs" / "generated"
    own = (page for page in sorted((REPOSITORY / "docs").rglob("*.md")) if not page.is_relative_to(written))
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *own]


def blocks(page: Path) -> list[Block]:
    """Blocks in order. A mark holds for the block after it; one before the first heading holds for the whole page."""
    found: list[Block] = []
    whole, mark = BESIDE.get(page.name), None
    open_at, fence, language, inside = 0, "", "", []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        marked, fenced = _MARK.fullmatch(line.strip()), _FENCE.match(line)
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                found.append(Block(page, open_at, language, "\n".join(inside), mark or whole))
                fence, mark, inside = "", None, []
            else:
                inside.append(line)
        elif fenced:
            open_at, fence, language = number, fenced["fence"], fenced["language"]
        elif marked and number == 1:
            whole = (marked["kind"], marked["told"])
        elif marked:
            mark = (marked["kind"], marked["told"])
        elif line.strip() and mark:
            raise AssertionError(f"{page.name}:{number}: a mark that no block follows")
    return found
