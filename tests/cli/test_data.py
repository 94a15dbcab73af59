import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from la_medical.cli.main import main
from la_medical.manifest import read_manifest


@pytest.fixture
def sources(tmp_path):
    """Two hand-written manifests that know different classes, with images; returns their paths."""
    paths = []
    generator = np.random.default_rng(0)
    for source, label in (("alpha", "pneumonia"), ("beta", "Pleural Effusion")):
        folder = tmp_path / source
        folder.mkdir()
        lines = [f"case_id,patient_id,source,image,label.{label}"]
        for number in range(40):
            Image.fromarray(generator.integers(0, 255, (16, 16)).astype(np.uint8)).save(folder / f"{number}.png")
            lines.append(f"{number:03d},p{number // 2},{source},{number}.png,{number % 2}")
        paths.append(folder / f"{source}.csv")
        paths[-1].write_text("\n".join(lines) + "\n")
    return paths


def assembled(sources, out):
    return main(["assemble", *map(str, sources), "--label-space", "chest_xray", "--out", str(out)])


def test_assemble_split_audit_export(sources, tmp_path, capsys):
    out = tmp_path / "all.csv"
    assert assembled(sources, out) == 0
    assert main(["split", str(out), "--val", "0.2", "--test", "0.2", "--seed", "1"]) == 0
    assert set(read_manifest(out).table["split"]) == {"train", "val", "test"}
    assert main(["audit", str(out), "--out", str(tmp_path / "audit"), "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "0 failed" in printed
    content = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert content["schema_version"] == 1
    assert {entry["class"] for entry in content["coverage"]} == {"pneumonia", "effusion"}
    assert (tmp_path / "audit" / "audit.html").is_file()
    assert main(["export", str(out), "--to", "monai", "--out", str(tmp_path / "monai")]) == 0
    assert len(json.loads((tmp_path / "monai" / "datalist.json").read_text())["training"]) > 40


def test_a_failed_check_is_exit_code_1_and_still_writes(sources, tmp_path, capsys):
    out = tmp_path / "all.csv"
    assembled(sources, out)
    (tmp_path / "alpha" / "3.png").unlink()
    assert main(["audit", str(out), "--out", str(tmp_path / "audit"), "--no-shortcuts"]) == 1
    assert "alpha-003" in capsys.readouterr().out
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["status"] == "failed"
    assert main(["audit", str(out), "--labels-only"]) == 0


def test_duplicates_and_misspelt_classes_are_findings_of_an_audit(tmp_path, capsys):
    table = tmp_path / "bad.csv"
    table.write_text("case_id,image,label.pneumonai,label.effusion\na,a.png,1,0\na,b.png,0,1\nb,c.png,1,1\n")
    assert main(["audit", str(table), "--labels-only", "--out", str(tmp_path / "audit")]) == 1
    checks = {check["name"]: check for check in json.loads((tmp_path / "audit" / "audit.json").read_text())["checks"]}
    assert (checks["unique case_id"]["status"], checks["unique case_id"]["cases"]) == ("failed", ["a"])
    assert checks["class spellings"]["status"] == "failed"
    assert "label.pneumonia" in checks["class spellings"]["message"]
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["assemble", "{bad}", "--label-space", "chest_xray", "--out", "{out}"], "did you mean"),
        (["assemble", "{good}", "--label-space", "chest", "--out", "{out}"], "no label space"),
        (["assemble", "{good}", "--label-space", "chest_xray", "--out", "x.txt"], "ends in"),
        (["assemble", "{good}", "{good}", "--label-space", "chest_xray", "--out", "{out}"], "give each source once"),
        (["split", "{good}", "--val", "0.6", "--test", "0.5"], "shares"),
        (["split", "{good}", "--keep-test"], "no row has split test"),
        (["split", "gone.csv"], "no such manifest"),
        (["audit", "gone.csv"], "no such manifest"),
        (["audit", "{two}"], "holds '2'"),
        (["audit", "{good}", "--workers", "0"], "--workers 0"),
        (["export", "{good}", "--to", "nnunet", "--out", "{out}"], "nnU-Net"),
        (["export", "{gone}", "--to", "monai", "--out", "{out}"], "missing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said, sources, tmp_path, capsys):
    files = {
        "bad": "case_id,image,source,label.pneumonai\na,a.png,x,1\n",
        "two": "case_id,image,source,label.pneumonia\na,a.png,x,2\n",
        "gone": "case_id,image,source,label.pneumonia\na,a.png,x,1\nb,b.png,x,1\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    places = {name: str(tmp_path / f"{name}.csv") for name in files}
    words = [word.format(good=sources[0], out=tmp_path / "out.csv", **places) for word in arguments]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_commands_give_the_same_bytes(sources, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / "all.csv"
        assembled(sources, out)
        main(["split", str(out), "--out", str(tmp_path / folder / "split.parquet")])
    for name in ("all.csv", "split.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_two_runs_at_once_leave_one_whole_manifest(sources, tmp_path):
    out = tmp_path / "all.csv"
    words = ["assemble", *map(str, sources), "--label-space", "chest_xray", "--out", str(out)]
    runs = [subprocess.Popen([sys.executable, "-m", "la_medical", *words], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert len(read_manifest(out)) == 80
    assert not list(tmp_path.glob(".partial-*"))


def test_pixels_keep_equal_images_of_two_sources_together(sources, tmp_path):
    for number in range(40):
        (tmp_path / "beta" / f"{number}.png").write_bytes((tmp_path / "alpha" / f"{number}.png").read_bytes())
    out = tmp_path / "all.csv"
    assembled(sources, out)
    assert main(["split", str(out), "--pixels", "--workers", "1"]) == 0
    table = read_manifest(out).table
    assert (table.groupby("original_case_id")["split"].agg(set).str.len() == 1).all()
    assert main(["audit", str(out), "--no-shortcuts", "--workers", "1"]) == 0
