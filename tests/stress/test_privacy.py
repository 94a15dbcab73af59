"""Planted words in every text element, private tag, name and path: none of them leaves a scan with --pseudonymise."""

from __future__ import annotations

import gzip
import random
import string
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, tag_for_keyword
from pydicom.dataset import Dataset

from la_medical.dicom.pseudonyms import read_key
from la_medical.dicom.series import series_files
from tests.dicom.made_series import ct_slice, save
from tests.stress.counts import count, report

WORDS = 50
TEXT = {"AE": 16, "LO": 64, "LT": 400, "PN": 64, "SH": 16, "ST": 400, "UC": 400, "UT": 400, "CS": 16}
"""Value representations that hold words, and how many characters."""
KEPT_CODES = {"Modality", "PhotometricInterpretation", "ImageType", "PatientSex", "SpecificCharacterSet", "RescaleType"}


def planted_words(draw: random.Random) -> list[str]:
    """Capital words of 12 letters that occur nowhere by chance."""
    return ["".join(draw.choices(string.ascii_uppercase, k=12)) for _ in range(WORDS)]


def planted(dataset: Dataset, words: list[str], draw: random.Random) -> Dataset:
    """Words in every text element of groups 0008 to 0040 that the slice can hold, nested and private ones too."""
    for tag, (vr, multiplicity, _, _, keyword) in DicomDictionary.items():
        if vr in TEXT and 0x0008 <= tag >> 16 <= 0x0040 and multiplicity != "0" and keyword not in KEPT_CODES:
            dataset.add_new(tag, vr, draw.choice(words))
    item = Dataset()
    item.PatientName, item.StudyDescription = draw.choice(words), draw.choice(words)
    dataset.ReferencedPatientSequence = [item]
    dataset.RequestAttributesSequence = [item]
    block = dataset.private_block(0x0009, draw.choice(words), create=True)
    for element, vr in enumerate(("LO", "UN", "OB", "PN"), start=1):
        value = draw.choice(words)
        block.add_new(element, vr, value.encode() if vr in ("UN", "OB") else value)
    dataset.PatientID = words[0]
    dataset.preamble = draw.choice(words).encode().ljust(128, b"\0")
    return dataset


def hospital(root: Path, words: list[str], draw: random.Random) -> None:
    """Two patients' series in folders named after them, and files with faults whose names are words too."""
    for patient in range(2):
        folder = root / f"{words[patient]}^{draw.choice(words)}" / draw.choice(words)
        for index in range(12):
            changes = {"StudyInstanceUID": f"1.2.3.{patient}", "SeriesInstanceUID": f"1.2.3.{patient}.1"}
            dataset = planted(ct_slice(index, **changes), words, draw)
            dataset.PatientID = words[patient]
            save(dataset, folder / f"{draw.choice(words)}_{index}.dcm")
    broken = root / words[3]
    broken.mkdir()
    (broken / f"{words[4]}.dcm").write_bytes(b"")
    (broken / f"{words[5]}.txt").write_text(words[6])
    whole = planted(ct_slice(0), words, draw)
    save(whole, broken / words[7])
    (broken / words[7]).write_bytes((broken / words[7]).read_bytes()[:700])


def leaks(folder: Path, words: list[str], said: str = "") -> list[str]:
    """Where a planted word is found: in bytes of any file, in unpacked .gz and .parquet, in names, or in `said`."""
    found = [f"{word} in the log" for word in words if word in said]
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".gz":
            content += gzip.decompress(content)
        if path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        told = content + str(path.relative_to(folder)).encode()
        found += [f"{word} in {path.name}" for word in words if word.encode() in told]
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "la_medical.cli.main", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("0123456789abcdef" * 2)
    path.chmod(0o600)
    return path


def test_the_planted_words_are_found_without_pseudonyms(tmp_path: Path) -> None:
    """The test can fail: a plain scan shows what it is asked to hide."""
    draw = random.Random(0)
    words = planted_words(draw)
    hospital(tmp_path / "in", words, draw)
    said = run("scan", tmp_path / "in", "--out", tmp_path / "out" / "series.csv")
    assert len(leaks(tmp_path / "out", words, said)) > 5


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_planted_word_leaves_a_scan(tmp_path: Path, key: Path, suffix: str) -> None:
    for seed in range(count(1, 20)):
        draw = random.Random(seed)
        words = planted_words(draw)
        root, out = tmp_path / f"in{seed}", tmp_path / f"out{seed}"
        hospital(root, words, draw)
        said = run("scan", root, "--out", out / f"series{suffix}", "--pseudonymise", key, "--workers", "1")
        assert leaks(out, words, said.replace(str(root), "")) == []
        table = pd.read_csv(out / "series.csv") if suffix == ".csv" else pd.read_parquet(out / "series.parquet")
        assert table["patient_id"].str.fullmatch("P[0-9a-f]{24}").sum() >= 2
    report(f"privacy_scan_{suffix[1:]}", {"trees": count(1, 20), "words planted in each": WORDS, "words found": 0})


def test_no_planted_word_leaves_a_manifest_made_with_the_key(tmp_path: Path, key: Path) -> None:
    """DICOM tree and pathology table to a manifest, its audit, its split and both exports."""
    draw = random.Random(1)
    words = planted_words(draw)
    root, out = tmp_path / "in", tmp_path / "out"
    hospital(root, words, draw)
    pathology = tmp_path / "pathology.csv"
    pathology.write_text(f"patient_id,diagnosis\n{words[0]},pdac\n{words[1]},normal\n")
    given = ("--pathology", pathology, "--pseudonymise", key)
    said = run("manifest", "hospital_dicom", root, "--out", out / "m.csv", *given)
    said += run("audit", out / "m.csv", "--out", out / "audit")
    said += run("split", out / "m.csv", "--val", "0.5", "--test", "0")
    said += run("export", out / "m.csv", "--to", "monai", "--out", out / "monai")
    assert leaks(out, words, said.replace(str(root), "")) == []
    table = pd.read_csv(out / "m.csv", dtype=str, keep_default_na=False)
    assert sorted(table["label.pdac"]) == ["0", "1"]
    assert table["patient_id"].str.fullmatch("P[0-9a-f]{24}").all()
    assert (out / "m_images" / table["image"][0]).is_file()


def test_the_words_were_planted(tmp_path: Path) -> None:
    draw = random.Random(0)
    words = planted_words(draw)
    file = save(planted(ct_slice(0), words, draw), tmp_path / "file")
    content = file.read_bytes()
    assert sum(content.count(word.encode()) for word in words) > 300
    assert tag_for_keyword("InstitutionName") in pydicom.dcmread(file)


def test_who_has_the_key_finds_the_files_again(tmp_path: Path, key: Path) -> None:
    draw = random.Random(0)
    words = planted_words(draw)
    hospital(tmp_path / "in", words, draw)
    run("scan", tmp_path / "in", "--out", tmp_path / "series.csv", "--pseudonymise", key)
    table = pd.read_csv(tmp_path / "series.csv", dtype=str, keep_default_na=False)
    row = table[table["slices"].astype(float) == 12].iloc[0]
    assert len(series_files(row, tmp_path / "in", pseudonyms=read_key(key))) == 12
