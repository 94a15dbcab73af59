"""Names of overrides against the config files, as `python -m monai.bundle run` gets them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from la_medical.errors import InputError
from la_medical.training.overrides import check_names, check_overrides

CONFIG = {
    "seed": 0,
    "net": {"_target_": "la_medical.training.views.RandomNoise", "most": 0.1},
    "list": [{"a": 1}],
    "options": {"growth_rate": 4},
}


@pytest.mark.parametrize(
    "key", ["seed", "net::most", "net#most", "list::0::a", "net::_disabled_", "options::growth_rate"]
)
def test_keys_that_are_there(key: str) -> None:
    check_names([key], CONFIG)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sead", "did you mean --seed"),
        ("net::mots", "did you mean --net::most"),
        ("list::1::a", "no key '1' below list"),
        ("options::growth", "did you mean --options::growth_rate"),
        ("seed::x", "no keys of its own"),
    ],
)
def test_keys_that_are_not(key: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_names([key], CONFIG)


def test_command_line_and_args_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, args = tmp_path / "train.yaml", tmp_path / "args.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    args.write_text(yaml.safe_dump({"config_file": str(config), "sead": 3}))
    start = ["/x/monai/bundle/__main__.py", "run"]
    check_overrides([*start, "--config_file", str(config), "--seed", "-1", "--net::most=0.2"])
    check_overrides(["/usr/bin/pytest", "run", "--config_file", str(config), "--sead", "1"])  # not a bundle run
    for wrong in (["--config_file", str(config), "--sead", "1"], ["--args_file", str(args)]):
        with pytest.raises(SystemExit) as stopped:
            check_overrides([*start, *wrong])
        assert stopped.value.code == 2
        assert "did you mean --seed?" in capsys.readouterr().err
    check_overrides([*start, "--config_file", str(config), "--tracking", "mlflow", "--run_name", "a"])
