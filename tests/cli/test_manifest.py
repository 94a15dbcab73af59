import json

import pytest

from la_medical.cli.main import main
from la_medical.manifest import read_manifest
from tests.manifest.sources.layouts import image, text, volume

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height]\n"
)


@pytest.fixture
def nih(tmp_path):
    root = tmp_path / "nih"
    text(
        root / "Data_Entry_2017_v2020.csv",
        HEADER + "00000001_000.png,Mass,0,1,57,M,PA,2,2\n00000002_000.png,No Finding,0,2,5,F,AP,2,2\n",
    )
    text(root / "test_list.txt", "00000002_000.png\n")
    text(root / "train_val_list.txt", "00000001_000.png\n")
    image(root / "images" / "00000001_000.png")
    image(root / "images" / "00000002_000.png")
    return root


def test_counts_are_printed_and_a_second_run_gives_the_same_bytes(nih, tmp_path, capsys):
    outs = [tmp_path / "a" / "m.csv", tmp_path / "b" / "m.csv"]
    for out in outs:
        assert main(["manifest", "chestxray14", str(nih), "--out", str(out), "--val-fraction", "0"]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert outs[0].with_suffix(".json").read_bytes() == outs[1].with_suffix(".json").read_bytes()
    said = capsys.readouterr().out
    assert "chestxray14: 2 cases of 2 patients" in said
    assert "splits: train 1, test 1" in said
    assert "1 positive" in said
    about = json.loads(outs[0].with_suffix(".json").read_text())
    assert about["command"] == f"la-medical manifest chestxray14 {nih} --val-fraction 0.0"
    assert about["sources"]["chestxray14"]["blank_means"]


def test_csv_and_parquet_hold_the_same(nih, tmp_path):
    for suffix in ("csv", "parquet"):
        assert main(["manifest", "chestxray14", str(nih), "--out", str(tmp_path / f"m.{suffix}")]) == 0
    one, two = (read_manifest(tmp_path / f"m.{suffix}") for suffix in ("csv", "parquet"))
    assert one.table.equals(two.table)


def test_packed_images_go_beside_the_manifest(tmp_path):
    import numpy as np

    arrays = {f"{s}_images": np.zeros((1, 28, 28), np.uint8) for s in ("train", "val", "test")}
    arrays |= {f"{s}_labels": np.zeros((1, 1), np.uint8) for s in ("train", "val", "test")}
    np.savez(tmp_path / "b.npz", **arrays)
    out = tmp_path / "out" / "breast.csv"
    assert main(["manifest", "medmnist", str(tmp_path / "b.npz"), "--set", "breastmnist", "--out", str(out)]) == 0
    files = read_manifest(out).file_paths()
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        f"out/breast_images/{split}/000000.png" for split in ("test", "train", "val")
    ]
    first = [path.read_bytes() for path in files]
    assert main(["manifest", "medmnist", str(tmp_path / "b.npz"), "--set", "breastmnist", "--out", str(out)]) == 0
    assert [path.read_bytes() for path in files] == first


def test_options_of_a_source_and_a_card_of_ones_own(tmp_path):
    volume(tmp_path / "d/STS_1/ct.nii.gz")
    volume(tmp_path / "d/STS_1/tumour.nii.gz", (1,))
    text(
        tmp_path / "card.yaml", "name: sts\nlabel_space: sarcoma_ct\nclasses: [sarcoma]\nmask_values: {1: [sarcoma]}\n"
    )
    out = tmp_path / "m.csv"
    pattern = ["--image-pattern", "{case}/ct.nii.gz", "--mask-pattern", "{case}/tumour.nii.gz"]
    assert (
        main(
            [
                "manifest",
                "image_mask_pairs",
                str(tmp_path / "d"),
                *pattern,
                "--card",
                str(tmp_path / "card.yaml"),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    read = read_manifest(out)
    assert read.table["source"].tolist() == ["sts"]
    assert read.cards["sts"].mask_values == {1: ("sarcoma",)}


def test_the_list_names_every_source_and_its_options(capsys):
    assert main(["manifest", "--list"]) == 0
    said = capsys.readouterr().out
    assert "chestxray14\n" in said
    assert "options: --val-fraction, --seed" in said
    assert "--set" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "SOURCE is missing"),
        (["kermany"], "ROOT is missing"),
        (["kermany", "x"], "--out M is missing"),
        (["kermany", "x", "--out", "m.txt"], "ends in .csv or .parquet"),
        (["kermony", "x", "--out", "m.csv"], "did you mean 'kermany'"),
        (["kermany", "nowhere", "--out", "m.csv"], "nowhere: no such folder"),
        (["kermany", ".", "--out", "m.csv", "--labeler", "negbio"], "source kermany takes no option 'labeler'"),
        (["kermany", ".", "--out", "m.csv", "--card", "none.yaml"], "no card for source"),
        (["kermany", ".", "--out", "m.csv", "--val-fraction", "2"], "expected the folders train and test"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["manifest", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_images_leave_no_manifest(nih, tmp_path, capsys):
    (nih / "images" / "00000002_000.png").unlink()
    out = tmp_path / "m.csv"
    assert main(["manifest", "chestxray14", str(nih), "--out", str(out)]) == 2
    assert "1 of 2 image files are missing, the first is images/00000002_000.png" in capsys.readouterr().err
    assert not out.exists()
    assert main(["manifest", "chestxray14", str(nih), "--out", str(out), "--no-check-files"]) == 0
