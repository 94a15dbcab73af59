"""The command line as a whole: exit codes, messages, and what it imports."""

import argparse
import subprocess
import sys
from typing import Any

import pytest

from la_medical.cli import main as command_line
from la_medical.cli.main import main
from la_medical.errors import InputError, one_line

HEAVY = {
    "torch",
    "monai",
    "ignite",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "pydicom",
    "nibabel",
    "SimpleITK",
}


def with_command(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    def add_commands(commands: Any) -> None:
        commands.add_parser("try").set_defaults(run=run)

    monkeypatch.setattr(command_line.data, "add_commands", add_commands)


def test_help_and_version_import_nothing_heavy() -> None:
    script = (
        "import sys, la_medical.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("LOADED", 1)[1].split())
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["--no-such-option"]])
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_bad_input_is_one_line_and_exit_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(arguments: argparse.Namespace) -> None:
        raise InputError("a.csv: two\nlines")

    with_command(monkeypatch, run)
    assert main(["try"]) == 2
    assert capsys.readouterr().err == "la-medical try: a.csv: two lines\n"


def test_a_file_the_system_refuses_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: argparse.Namespace) -> None:
        raise PermissionError(13, "Permission denied", "out.csv")

    with_command(monkeypatch, run)
    assert main(["try"]) == 2
    assert capsys.readouterr().err == (
        "la-medical try: out.csv: Permission denied; give a path that you may use, or ask for the right to it\n"
    )


def test_a_command_may_say_that_its_target_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_command(monkeypatch, lambda arguments: 1)
    assert main(["try"]) == 1


def test_a_fault_of_ours_is_not_taken_for_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(arguments: argparse.Namespace) -> None:
        raise ValueError("ours")

    with_command(monkeypatch, run)
    with pytest.raises(ValueError, match="ours"):
        main(["try"])


def test_one_line_folds_and_cuts() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"
    assert one_line("x" * 50, limit=10) == "xxxxxxx..."


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_seed_that_no_generator_takes(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantoms", "chest_xray", "--out", "unused", "--seed", seed]) == 2
    assert f"--seed {seed}: expected a whole number from 0" in capsys.readouterr().err
