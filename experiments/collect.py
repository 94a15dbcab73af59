"""Put finished experiments into the repository: their tables and figures, and what they found into docs/results.md.

    python experiments/collect.py OUT

OUT holds one folder an experiment, as `la-medical experiment NAME --out OUT/NAME` wrote it; `runs/` and `data/` stay.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from la_medical.artifacts import write_text

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "results.md"
KEPT = ("runs.csv", "summary.csv", "effects.csv", "gains.csv", "summary.md", "arms.svg", "similarity_gain.svg")


def main() -> None:
    """Copy each experiment's tables and figures, and fill its part of the page."""
    page = PAGE.read_text(encoding="utf-8")
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        name = folder.name
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if not (folder / "summary.md").is_file() or start not in page:
            continue
        target = HERE / name / "results"
        target.mkdir(parents=True, exist_ok=True)
        for file in KEPT:
            if (folder / file).is_file():
                shutil.copyfile(folder / file, target / file)
        before, rest = page.split(start)
        page = before + start + shown(folder, name) + end + rest.split(end)[1]
        print(f"{target}: copied")
    write_text(PAGE, page)


def shown(folder: Path, name: str) -> str:
    """The part of the page: what was asked and found, the tables, and links to the files."""
    parts = (folder / "summary.md").read_text(encoding="utf-8").split("\n\n")
    kept = [part.replace("## ", "### ") for part in parts[1:] if not part.startswith("![")]
    link = f"Rows and figures: `experiments/{name}/results/`."
    return "\n\n".join([*(part.strip() for part in kept), link]) + "\n\n"


if __name__ == "__main__":
    main()
