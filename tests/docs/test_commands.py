"""Every command in the documentation parses, and every block of commands says which test runs it or why none does."""

import re

import pytest

from tests.docs.blocks import REPOSITORY, SHELL, blocks, pages
from tests.docs.commands import OURS, Command, commands, problem

PAGES = [pytest.param(page, id=page.relative_to(REPOSITORY).as_posix()) for page in pages()]
HOW = "put `<!-- runs: tests/... -->` or `<!-- not run: why -->` before it, or on the first line for the whole page"


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page) -> None:
    wrong = [f"{command}: {told}" for command in commands(page) if (told := problem(command))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_whether_they_are_run(page) -> None:
    for block in blocks(page):
        ours = block.language in SHELL and re.search(OURS.pattern, block.text, re.MULTILINE)
        assert block.mark or not ours, f"{page.name}:{block.line}: a block of commands without a mark; {HOW}"
        if block.mark and block.mark[0] == "runs":
            test = REPOSITORY / block.mark[1]
            assert test.is_file(), f"{page.name}:{block.line}: no test {block.mark[1]}"
            assert page.name in test.read_text(encoding="utf-8"), f"{block.mark[1]} does not read {page.name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("la-medical split all.csv --val 0.1 --test 0.2", ""),
        ("la-medical split all.csv --val many", "invalid float value"),
        ("la-medical splitt all.csv", "no command 'splitt'"),
        ("la-medical pacs fetch URL", "no command 'fetch'"),
        ("la-medical split all.csv --valid 0.1", "no option --valid"),
        ("la-medical split", "required"),
        ("la-medical split A [--val 0.1 | --valid 1]", "no option --valid"),
        ("python -m monai.bundle run --config_file B/configs/train.yaml --max_epochs 3", ""),
        ("python -m monai.bundle run --config_file B/configs/train.yaml --loss::warmup_epochs 3", ""),
        ("python -m monai.bundle run --config_file B/configs/trains.yaml", "no bundle has all of trains.yaml"),
        ("python -m monai.bundle run --config_file B/configs/train.yaml --max_epoch 3", "no key 'max_epoch'"),
    ],
)
def test_what_the_checker_finds(text, expected) -> None:
    block = blocks(REPOSITORY / "docs" / "tutorials" / "pacs.md")[0]
    found = problem(Command(block.page, 1, text, block))
    assert expected in found
    assert bool(found) == bool(expected)
