"""`python -m tests.stress.room_coverage COVERAGE_JSON`: coverage of each room whose figure is promised; 1 below 95%.

Lines and branches count together, as coverage.py's own percentage does with `branch = true`; the share of the branches
alone is shown beside it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOMS = ("labels", "losses", "statistics", "detection", "manifest")
WANTED = 95.0
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def by_room(files: dict[str, dict]) -> dict[str, dict[str, int]]:
    """The counts of coverage.py's JSON report, summed over the files of each room."""
    return {
        room: {
            name: sum(file["summary"][name] for path, file in files.items() if f"la_medical/{room}/" in path)
            for name in COUNTS
        }
        for room in ROOMS
    }


def percent(counts: dict[str, int], *kinds: str) -> float:
    """Covered of all, of lines, branches or both."""
    names = {"lines": ("covered_lines", "num_statements"), "branches": ("covered_branches", "num_branches")}
    covered, all_of_them = (sum(counts[names[kind][at]] for kind in kinds) for at in (0, 1))
    return 100 * covered / all_of_them


def main() -> int:
    rooms = by_room(json.loads(Path(sys.argv[1]).read_text())["files"])
    short = []
    for room, counts in rooms.items():
        both, branches = percent(counts, "lines", "branches"), percent(counts, "branches")
        print(f"{room:12} {both:6.2f}%   branches alone {branches:6.2f}%")
        short += [room] if both < WANTED else []
    stress = os.environ.get("LA_MEDICAL_STRESS")
    if stress:
        Path(stress).mkdir(parents=True, exist_ok=True)
        for room, counts in rooms.items():
            told = {"percent": round(percent(counts, "lines", "branches"), 2)}
            told["percent of branches"] = round(percent(counts, "branches"), 2)
            (Path(stress) / f"coverage_{room}.json").write_text(json.dumps(told, indent=2) + "\n")
    if short:
        print(f"below {WANTED:g}%: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
