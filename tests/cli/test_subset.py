"""`la-medical subset`."""

from pathlib import Path

import pytest

from la_medical.cli.main import main
from la_medical.manifest import read_manifest

TABLE = "case_id,patient_id,source,image,label.pneumonia,label.effusion\n" + "".join(
    f"c{i},p{i},nih,{i}.png,{i % 2},0\n" for i in range(20)
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(TABLE)
    return path


def test_two_parts_know_different_classes_of_different_patients(manifest: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    assert main(["subset", str(manifest), "--patients", "1/2", "--classes", "pneumonia", "--out", str(a)]) == 0
    assert main(["subset", str(manifest), "--patients", "2/2", "--classes", "Pleural Effusion", "--source", "nih_b",
                 "--out", str(b)]) == 0  # fmt: skip
    first, second = read_manifest(a), read_manifest(b)
    assert first.classes == ("pneumonia",)
    assert second.classes == ("effusion",)
    assert set(second.table["source"]) == {"nih_b"}
    assert sorted([*first.table["case_id"], *second.table["case_id"]]) == sorted(f"c{i}" for i in range(20))


@pytest.mark.parametrize("share", ["half", "0/2", "3/2", "1/", "-1/2"])
def test_a_share_that_makes_no_sense_is_refused(
    share: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["subset", str(manifest), f"--patients={share}", "--out", str(tmp_path / "a.csv")]) == 2
    assert "1/2" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
