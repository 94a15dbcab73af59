"""Command `experiment`: the figures and tables of the paper, small or as large as the paper's."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from la_medical.errors import InputError

DATA = "LA_MEDICAL_DATA"


def add_commands(commands: Any) -> None:
    """Add `experiment`."""
    p = commands.add_parser(
        "experiment",
        help="run a figure or table of the paper",
        description="Train and score every arm of an experiment with several seeds, and write what was found: runs.csv "
        "(one row a run), summary.csv, effects.csv, summary.md, figures. Run again, it goes on where it stopped.",
    )
    p.add_argument("name", nargs="?", metavar="NAME", help="the experiment; --list shows them")
    p.add_argument("--size", choices=("small", "paper"), default="small", help="default %(default)s: CPU, minutes")
    p.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1 (default %(default)s)")
    p.add_argument("--out", type=Path, metavar="DIR", help="folder for everything that is written")
    p.add_argument("--data", type=Path, metavar="ROOT", help=f"folder with the sources (default: ${DATA})")
    p.add_argument("--cache", type=Path, metavar="DIR", help="unpacked images, may be shared (default OUT/data)")
    p.add_argument("--only", action="append", default=[], metavar="DATA", help="one of its data sets; may be repeated")
    p.add_argument("--list", action="store_true", help="the experiments and their data sets")
    p.add_argument(
        "--dry-run", action="store_true", help="every arm once, on a few drawn images in the official layouts"
    )
    p.set_defaults(run=_experiment)


def _experiment(arguments: argparse.Namespace) -> None:
    from la_medical.experiments.plan import experiment_names, load_plan

    if arguments.list or arguments.name is None:
        if not arguments.list:
            raise InputError(f"no experiment is named; there are: {', '.join(experiment_names())}")
        for name in experiment_names():
            plan = load_plan(name, "small")
            print(f"{name}: {plan.title}\n  small: {', '.join(plan.data)}")
        return
    plan = load_plan(arguments.name, arguments.size)
    if arguments.out is None:
        raise InputError("--out DIR is needed: where the runs and the summary go")
    if arguments.seeds < 1:
        raise InputError(f"--seeds {arguments.seeds}: expected 1 or more")
    wrong = [name for name in arguments.only if name not in plan.data]
    if wrong:
        raise InputError(f"--only {wrong[0]}: {plan.name} has the data sets {', '.join(plan.data)}")
    _quiet()
    if arguments.dry_run:
        from la_medical.experiments.dry_run import dry_run

        summary = dry_run(plan, arguments.out)
        print(f"{summary}: a trial on drawn images; its figures mean nothing")
        return
    from la_medical.experiments.runner import run_experiment

    root = arguments.data or (Path(os.environ[DATA]) if os.environ.get(DATA) else None)
    if root is None or not root.is_dir():
        raise InputError(
            f"--data {root or 'ROOT'}: no such folder; give the folder that holds the sources, or set {DATA}"
        )
    summary = run_experiment(
        plan, seeds=range(arguments.seeds), data=root, out=arguments.out, cache=arguments.cache, only=arguments.only
    )
    print(summary)


def _quiet() -> None:
    """One line a run is enough: MONAI would add one an epoch, and one a workflow about a logging file."""
    import logging

    logging.disable(logging.INFO)
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
