"""How long commands take to start: CPU seconds of `la-medical --help`, of the evaluator on a small cohort, of imports.

python benchmarks/startup.py [--tiny] [--out FILE]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from detection_cohort import write_cohort
from measure import Line, benchmark

POINT = """
from la_medical.detection.operating_point import choose, write_point
from la_medical.detection.tables import read_candidates
write_point(choose(read_candidates({0!r}), "pdac", specificity=0.9), {1!r})
"""


def cpu(command: Sequence[str], rounds: int) -> float:
    """Least CPU seconds of a command and its children, user and system, after one run that warms the disk cache."""
    best = float("inf")
    for number in range(rounds + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, used) if number else best
    return best


def measure(tiny: bool) -> list[Line]:
    rounds = 1 if tiny else 3
    python = cpu(["-c", "pass"], rounds)
    lines = [
        Line("la-medical --help", cpu(["-m", "la_medical", "--help"], rounds), "CPU s", goal=0.3, at_least=False,
             note=f"Python alone takes {python:.2f}"),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder / "candidates", 50)
        point = folder / "point.json"
        subprocess.run([sys.executable, "-c", POINT.format(str(folder / "candidates"), str(point))], check=True)
        evaluate = ["-m", "la_medical", "evaluate", str(folder / "candidates"), "--operating-point", str(point)]
        core = "import la_medical.detection.evaluate, la_medical.detection.tables, la_medical.detection.operating_point"
        imports = ["-c", core + ", la_medical.cli.main"]
        network = cpu(["-c", "import torch, monai.networks.nets"], 1)
        lines += [
            Line("the evaluator, imported", cpu(imports, rounds), "CPU s", network, goal=1.0, at_least=False,
                 note="against importing torch and monai, which it does not need"),
            Line("la-medical evaluate with its report and figures, 50 patients, 100 bootstraps",
                 cpu([*evaluate, "--bootstraps", "100", "--out", str(folder / "out")], 1), "CPU s"),
        ]  # fmt: skip
    return lines


if __name__ == "__main__":
    benchmark(__doc__ or "", measure)
