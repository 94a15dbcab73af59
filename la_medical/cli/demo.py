"""Commands `phantoms` and `demo`: the whole method on drawn images, as the commands a user would give."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from la_medical.errors import InputError

KINDS = ("chest_xray", "abdominal_ct")
HOSPITAL = "hospital"


def add_commands(commands: Any) -> None:
    """Add `phantoms` and `demo`."""
    phantoms = commands.add_parser(
        "phantoms",
        help="draw phantom images as partially labelled sources",
        description="Draw phantom images (no patient) as several partially labelled sources, each a folder that "
        "`la-medical manifest phantom` reads; or a hospital: a DICOM tree with segmentations, and a pathology table. "
        "The same arguments give the same bytes.",
    )
    phantoms.add_argument("kind", choices=(*KINDS, HOSPITAL))
    phantoms.add_argument("--out", type=Path, required=True, help="folder that receives one folder a source")
    phantoms.add_argument("--patients", type=int, default=100, help="patients a source (default %(default)s)")
    phantoms.add_argument("--seed", type=int, default=0)
    phantoms.add_argument("--spacing", type=float, nargs=3, metavar="MM", help="voxel size of CT (default: drawn)")
    phantoms.set_defaults(run=_phantoms)

    demo = commands.add_parser(
        "demo",
        help="assemble, audit, train, evaluate and report on phantoms, in minutes",
        description="Run the whole method on phantoms, each step as the command you would give yourself.",
    )
    demo.add_argument("--out", type=Path, default=Path("demo_output"), help="folder (default %(default)s)")
    demo.add_argument("--only", choices=KINDS, help="one of the two parts")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)


def _phantoms(arguments: argparse.Namespace) -> None:
    from importlib import import_module

    settings = {"patients": arguments.patients, "seed": arguments.seed}
    if arguments.spacing:
        if arguments.kind == "chest_xray" or not all(0.1 <= size <= 20 for size in arguments.spacing):
            raise InputError(f"--spacing {arguments.spacing}: expected 0.1 to 20 mm, and only for CT")
        settings["spacing"] = tuple(arguments.spacing)
    if arguments.kind == HOSPITAL:
        from la_medical.phantoms.hospital import write_hospital

        print(write_hospital(arguments.out, segmented=1.0, **settings))
        return
    write_sources = import_module(f"la_medical.phantoms.{arguments.kind}").write_sources
    for folder in write_sources(arguments.out, **settings):
        print(folder)


def _demo(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    parts = {"chest_xray": _chest_xray, "abdominal_ct": _abdominal_ct}
    wanted = [arguments.only] if arguments.only else list(KINDS)
    reports = [parts[kind](arguments.out / kind, arguments.seed) for kind in wanted]
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    print("The images are PHANTOMs: the figures say that the steps work, nothing about patients.")
    for report in reports:
        print(f"Report: {report.resolve().as_uri()}")


def _chest_xray(out: Path, seed: int) -> Path:
    """Three X-ray sources that know different classes: one network for all of them."""
    print("== Chest X-rays: three sources that know different classes ==")
    _la_medical("phantoms", "chest_xray", "--out", out / "sources", "--patients", 120, "--seed", seed)
    manifest = _assembled(out, "chest_xray", seed)
    _bundle("chest_xray_classification", ["train", "small"], manifest, out / "run", seed=seed)
    _bundle("chest_xray_classification", ["inference", "small"], manifest, out / "run")
    similarity = out / "similarity.csv"
    _la_medical("queries", out / "run" / "model.pt", "--out", similarity)
    maps = out / "maps"
    _la_medical("maps", out / "run" / "model.pt", "--manifest", manifest, "--split", "test", "--out", maps)
    _la_medical("diagnose", out / "run" / "predictions.csv", "--manifest", manifest, "--split", "test",
                "--audit", out / "audit" / "audit.json", "--history", out / "run" / "history.csv",
                "--similarity", similarity, "--maps", maps, "--out", out / "report")  # fmt: skip
    return out / "report" / "report.html"


def _abdominal_ct(out: Path, seed: int) -> Path:
    """CT sources that know different pancreatic lesions: one network, and the sensitivity of the whole for PDAC."""
    print("== Abdominal CT: sources that know different pancreatic lesions ==")
    _la_medical("phantoms", "abdominal_ct", "--out", out / "sources", "--patients", 32, "--seed", seed)
    manifest = _assembled(out, "pancreatic_ct", seed)
    _bundle("pancreatic_lesion_segmentation", ["train", "small"], manifest, out / "run", seed=seed, max_epochs=18)
    _bundle("pancreatic_lesion_segmentation", ["inference", "small"], manifest, out / "run")
    _la_medical("detect", out / "run" / "predictions", "--manifest", manifest, "--out", out / "candidates")
    print(
        "\nSo short a training on CT outlines the pancreas and finds few lesions or none: expect a sensitivity near 0."
    )
    point = out / "operating_point.json"
    _la_medical("operating-point", out / "candidates", "--class", "pdac", "--specificity", 0.9, "--split", "val",
                "--out", point, allowed=(0, 1))  # fmt: skip
    similarity = out / "similarity.csv"
    _la_medical("queries", out / "run" / "model.pt", "--out", similarity)
    _la_medical("evaluate", out / "candidates", "--operating-point", point, "--split", "test",
                "--audit", out / "audit" / "audit.json", "--history", out / "run" / "history.csv",
                "--similarity", similarity, "--out", out / "report")  # fmt: skip
    return out / "report" / "report.html"


def _assembled(out: Path, space: str, seed: int) -> Path:
    """Every phantom source below `out` as one split and audited manifest."""
    tables = []
    for source in sorted((out / "sources").iterdir()):
        table = out / f"{source.name}.csv"
        _la_medical("manifest", "phantom", source, "--out", table)
        tables.append(table)
    manifest = out / "all.csv"
    _la_medical("assemble", *tables, "--label-space", space, "--out", manifest)
    _la_medical("split", manifest, "--val", 0.2, "--test", 0.3, "--seed", seed)
    _la_medical("audit", manifest, "--out", out / "audit")
    return manifest


def _la_medical(*arguments: Any, allowed: tuple[int, ...] = (0,)) -> None:
    _run(["la-medical", *map(str, arguments)], [sys.executable, "-m", "la_medical", *map(str, arguments)], allowed)


def _bundle(name: str, configs: list[str], manifest: Path, out: Path, **settings: Any) -> None:
    from la_medical.resources import bundles_folder

    root = bundles_folder() / name
    files = [str(root / "configs" / f"{config}.yaml") for config in configs]
    arguments = ["-m", "monai.bundle", "run", "--bundle_root", str(root), "--config_file", str(files)]
    arguments += ["--manifest", str(manifest), "--output_dir", str(out)]
    for key, value in settings.items():
        arguments += [f"--{key}", str(value)]
    _run(["python", *arguments], [sys.executable, *arguments], (0,))


def _run(shown: list[str], command: list[str], allowed: tuple[int, ...]) -> None:
    # Double quotes around the list of configurations, which holds single ones.
    words = [f'"{word}"' if word.startswith("[") else shlex.quote(word) for word in shown]
    print(f"\n$ {' '.join(words)}", flush=True)
    started = time.monotonic()
    quiet = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore::UserWarning:monai.bundle.scripts"}
    code = subprocess.run(command, check=False, env={**os.environ, **quiet}).returncode
    if code not in allowed:
        raise InputError(f"the step `{shown[0]} {shown[1]}` ended with exit code {code}; its own message stands above")
    print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
