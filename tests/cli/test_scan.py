"""`la-medical scan` from the command line: outputs, resuming, killing, two at once, pseudonyms, a Dask cluster."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from la_medical.cli.main import main
from la_medical.dicom.pseudonyms import read_key
from la_medical.dicom.scan import FILE_COLUMNS
from la_medical.dicom.series import read_series_table, read_volume, series_files
from la_medical.dicom.table_files import read_rows
from tests.dicom.made_series import ct_series, ct_slice, enhanced_ct, save

COMMAND = [sys.executable, "-m", "la_medical", "scan"]


def outputs(folder, stem="out"):
    """Bytes of what a scan wrote, by name, without the journal."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob(f"{stem}*")) if path.suffix != ".sqlite"}


@pytest.fixture
def tree(tmp_path):
    ct_series(tmp_path / "tree" / "p1" / "ct", count=12)
    ct_series(tmp_path / "tree" / "p2", count=3, PatientID="PID-2", SeriesInstanceUID="1.2.5", StudyInstanceUID="1.2.6")
    (tmp_path / "tree" / "note.txt").write_text("x")
    return tmp_path / "tree"


def test_csv_and_parquet_hold_the_same_table(tree, tmp_path, capsys):
    assert main(["scan", str(tree), "--out", str(tmp_path / "out.csv")]) == 0
    assert "2 series of 16 files" in capsys.readouterr().out
    assert main(["scan", str(tree), "--out", str(tmp_path / "out2.parquet"), "--workers", "2"]) == 0
    one, other = read_series_table(tmp_path / "out.csv"), read_series_table(tmp_path / "out2.parquet")
    assert one.equals(other)
    assert one.set_index("patient_id")["selected"].to_dict() == {"PID-1": 1, "PID-2": 0}


SPREADSHEET = ["=1+1", "+7", "-7", "@SUM(A1)", '=HYPERLINK("http://x")', "007", "NA", "1e5", "nan"]
"""IDs that a spreadsheet would run or rewrite. A table is data: they stay themselves."""


def test_ids_that_a_spreadsheet_would_run_stay_themselves(tmp_path):
    for number, text in enumerate(SPREADSHEET):
        changes = {"PatientID": text, "SeriesDescription": text, "StudyInstanceUID": f"1.2.{number}"}
        ct_series(tmp_path / "tree" / str(number), 3, SeriesInstanceUID=f"1.3.{number}", **changes)
    for name in ("a.csv", "b.parquet"):
        assert main(["scan", str(tmp_path / "tree"), "--out", str(tmp_path / name)]) == 0
        table = read_series_table(tmp_path / name)
        assert sorted(table["patient_id"]) == sorted(SPREADSHEET)
        assert sorted(table["series_description"]) == sorted(SPREADSHEET)


def test_control_characters_do_not_break_the_table(tmp_path):
    """In a text they become spaces; a file's name keeps them, and the files are found by it."""
    for number, text in enumerate(("a\rb", "a\nb", "a\0b", "a\u2028b", 'a"b', "a,b")):
        uid = f"1.2.{number}"
        changes = {"PatientID": text, "StudyInstanceUID": uid, "SeriesInstanceUID": uid + ".1"}
        name = text.replace("\0", "\t")
        ct_series(tmp_path / "tree" / name / name, 3, SpecificCharacterSet="ISO_IR 192", **changes)
        (tmp_path / "tree" / name / (name + ".txt")).write_text("x")
    for name in ("a.csv", "b.parquet"):
        assert main(["scan", str(tmp_path / "tree"), "--out", str(tmp_path / name)]) == 0
    table = read_series_table(tmp_path / "a.csv")
    assert table.equals(read_series_table(tmp_path / "b.parquet"))
    assert sorted(table["patient_id"]) == sorted(["a b"] * 4 + ['a"b', "a,b"])
    assert [read_volume(row, root=tmp_path / "tree").array.shape for _, row in table.iterrows()] == [(8, 6, 3)] * 6
    files, other = (
        read_rows(tmp_path / "a.files.csv", FILE_COLUMNS),
        read_rows(tmp_path / "b.files.parquet", FILE_COLUMNS),
    )
    assert files.equals(other)
    assert len(files) == 24


def test_same_tree_same_bytes(tree, tmp_path):
    for name in ("a", "b"):
        assert main(["scan", str(tree), "--out", str(tmp_path / name / "out.csv")]) == 0
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    before = outputs(tmp_path / "a")
    assert main(["scan", str(tree), "--out", str(tmp_path / "a" / "out.csv")]) == 0
    assert outputs(tmp_path / "a") == before


def test_out_inside_the_tree_is_not_scanned(tree):
    for _ in range(2):
        assert main(["scan", str(tree), "--out", str(tree / "out.csv")]) == 0
        assert json.loads((tree / "out.json").read_text())["counts"]["files"] == 16


def test_incremental(tree, tmp_path, monkeypatch):
    out = str(tmp_path / "out.csv")
    main(["scan", str(tree), "--out", out])
    from la_medical.dicom.records import RecordReader

    read = []
    original = RecordReader.read
    monkeypatch.setattr(
        RecordReader, "read", lambda self, path, *rest: read.append(path) or original(self, path, *rest)
    )
    main(["scan", str(tree), "--out", out])
    assert read == []
    save(ct_slice(12), tree / "p1" / "ct" / "new")
    (tree / "p2" / "IM0000").unlink()
    changed = ct_slice(0, SeriesDescription="arterial")
    save(changed, next(p for p in (tree / "p1" / "ct").iterdir() if dcmread(p).InstanceNumber == 1))
    main(["scan", str(tree), "--out", out])
    assert len(read) == 2
    table = read_series_table(out)
    assert table["slices"].tolist() == [13, 2]
    main(["scan", str(tree), "--out", str(tmp_path / "fresh" / "out.csv")])
    assert outputs(tmp_path)["out.csv"] == outputs(tmp_path / "fresh")["out.csv"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--out", "o.csv"], "no such folder"),
        ([".", "--out", "o.txt"], ".csv or .parquet"),
        ([".", "--out", "o.csv", "--phase-order", "venous"], "phase order"),
        ([".", "--out", "o.csv", "--workers", "0"], "1 or more"),
        ([".", "--out", "o.csv", "--pseudonymise", "nokey"], "no such key file"),
        ([".", "--out", "o.csv", "--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler answers"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    if "--scheduler" in arguments:
        monkeypatch.setattr("la_medical.cluster.CONNECT_S", 1)
    assert main(["scan", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_journal_that_is_none_is_said(tree, tmp_path, capsys):
    out = tmp_path / "out.csv"
    main(["scan", str(tree), "--out", str(out)])
    next(tmp_path.glob("*.sqlite")).write_text("nonsense" * 1000)
    assert main(["scan", str(tree), "--out", str(out)]) == 2
    assert "delete it" in capsys.readouterr().err


@pytest.fixture(scope="module")
def large_tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("large")
    first = [save(ct_slice(index), root / "s0" / f"{index}").read_bytes() for index in range(40)]
    for series in range(1, 75):
        (root / f"s{series}").mkdir()
        for index, content in enumerate(first):
            changed = content.replace(b"1.2.3.4.10", b"1.2.3.4.%02d" % (series + 20))
            (root / f"s{series}" / f"{index}").write_bytes(changed)
    return root


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(large_tree, tmp_path):
    whole = tmp_path / "whole"
    assert main(["scan", str(large_tree), "--out", str(whole / "out.csv")]) == 0
    draw = random.Random(1)
    for _ in range(6):
        process = subprocess.Popen(
            [*COMMAND, str(large_tree), "--out", str(tmp_path / "out.csv"), "--workers", "2"],
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(draw.uniform(0.2, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert main(["scan", str(large_tree), "--out", str(tmp_path / "out.csv")]) == 0
    assert outputs(tmp_path) == outputs(whole)


@pytest.mark.slow
def test_two_at_once_do_not_spoil_each_other(large_tree, tmp_path):
    command = [*COMMAND, str(large_tree), "--out", str(tmp_path / "out.csv"), "--workers", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert main(["scan", str(large_tree), "--out", str(tmp_path / "alone" / "out.csv")]) == 0
    assert outputs(tmp_path) == outputs(tmp_path / "alone")


PLANTED = [f"PLANT{number:02d}SECRET" for number in range(60)]


def plant(dataset):
    """Planted words in every text element there is, in private ones, and inside a sequence."""
    from pydicom.datadict import dictionary_VR
    from pydicom.dataset import Dataset

    from la_medical.dicom.tags import WANTED

    words = iter(PLANTED)
    texts = {"LO", "SH", "PN", "CS", "AE", "ST", "LT", "UT", "AS", "UC"}
    untouched = {0x00080005, 0x00280004, 0x00080060}
    wanted = [tag for tag in WANTED if dictionary_VR(tag) in texts and tag not in untouched]
    others = [
        0x00080050,
        0x00080080,
        0x00080090,
        0x00081010,
        0x00081070,
        0x00101000,
        0x00104000,
        0x00204000,
        0x00321060,
    ]
    for tag in (*wanted, *others):
        vr = dictionary_VR(tag)
        dataset.add_new(tag, vr, next(words))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", next(words)]
    dataset.AcquisitionTime = next(words)
    dataset.private_block(0x0011, next(words), create=True).add_new(0x01, "LO", next(words))
    item = Dataset()
    item.PatientComments = next(words)
    dataset.RequestAttributesSequence = [item]
    return dataset


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
def test_pseudonymised_outputs_hold_nothing_planted(tmp_path, capsys):
    tree = tmp_path / PLANTED[-1] / "tree" / PLANTED[-2]
    for index in range(12):
        dataset = plant(ct_slice(index))
        dataset.RescaleType = "HU"  # any other word refuses the volume
        save(dataset, tree / f"{PLANTED[-3]}_{index}")
    save(plant(enhanced_ct()), tree / "enhanced")
    (tree / f"{PLANTED[-4]}.txt").write_text(PLANTED[-5])
    (tree / f"{PLANTED[-6]}.dcm").write_bytes(b"")
    cut = tree / f"{PLANTED[-7]}"
    cut.write_bytes((tree / "enhanced").read_bytes()[:700])
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    out = tmp_path / "out" / "series.csv"
    root = tmp_path / PLANTED[-1] / "tree"
    capsys.readouterr()  # what pydicom said while the tree was written
    assert main(["scan", str(root), "--out", str(out), "--pseudonymise", str(key)]) == 0
    assert main(["scan", str(root), "--out", str(out.with_name("again.parquet")), "--pseudonymise", str(key)]) == 0
    written = b"".join(path.read_bytes() for path in out.parent.iterdir())
    said = capsys.readouterr()
    everything = written + said.out.encode() + said.err.encode()
    secrets = [*PLANTED, "PID-1", "Doe", "1.2.3.4.10", "1.2.3.4.1.", "20200131", "A1\0"]
    assert [word for word in secrets if word.encode() in everything] == []
    table = read_series_table(out)
    assert table["kind"].tolist() == ["volume", "volume"]
    row = table[table["sop_class"] == "ct"].iloc[0]
    assert (row["readable"], row["slices"], row["modality"]) == (1, 12, "CT")
    assert row["study_date"] != ""
    files = series_files(row, root, pseudonyms=read_key(key))
    assert read_volume(files).array.shape == (8, 6, 12)
    other = tmp_path / "key2"
    other.write_text("another key of enough length")
    assert main(["scan", str(root), "--out", str(tmp_path / "o2" / "s.csv"), "--pseudonymise", str(other)]) == 0
    assert set(read_series_table(tmp_path / "o2" / "s.csv")["patient_id"]).isdisjoint(table["patient_id"])


@pytest.fixture
def cluster(tmp_path):
    """A scheduler (address, process) and two worker processes on loopback."""
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "True", "OMP_NUM_THREADS": "1"}
    place = tmp_path / "scheduler.json"
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                 "--no-dashboard", "--scheduler-file", str(place)]  # fmt: skip
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(place), "--nworkers", "1",
              "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path)]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    started = [subprocess.Popen(scheduler, **quiet)]
    try:
        wait_for(place)
        started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        address = json.loads(place.read_text())["address"]
        wait_for_workers(address, 2)
        yield address, started[0], started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def on_cluster(tree, out, address):
    """A scan on the cluster, begun; it gives up on a cluster without workers after 2 seconds."""
    code = (
        "import sys; from la_medical import cluster; cluster.LOST_S = 2;"
        "from la_medical.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["scan", str(tree), "--out", str(out), "--scheduler", address]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def here(large_tree, tmp_path):
    """What a scan without a cluster writes."""
    assert main(["scan", str(large_tree), "--out", str(tmp_path / "here" / "out.csv")]) == 0
    return outputs(tmp_path / "here")


@pytest.mark.slow
def test_on_a_real_dask_scheduler_with_two_workers(large_tree, tmp_path, cluster, here):
    scan = on_cluster(large_tree, tmp_path / "cluster" / "out.csv", cluster[0])
    said = scan.communicate(timeout=120)[1]
    assert scan.returncode == 0, said
    assert outputs(tmp_path / "cluster") == here


@pytest.mark.slow
def test_a_scan_ends_right_when_one_of_two_workers_is_killed(large_tree, tmp_path, cluster, here):
    """One worker stands still with batches in its hands, so the scan cannot end before it is killed."""
    address, _, workers = cluster
    workers[0].send_signal(signal.SIGSTOP)
    scan = on_cluster(large_tree, tmp_path / "cluster" / "out.csv", address)
    wait_for_journal(tmp_path / "cluster")
    time.sleep(3)  # the other worker reads what it can
    assert scan.poll() is None
    workers[0].kill()
    said = scan.communicate(timeout=120)[1]
    assert scan.returncode == 0, said
    assert outputs(tmp_path / "cluster") == here


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_a_lost_cluster_is_one_line_and_the_scan_goes_on_without_it(large_tree, tmp_path, cluster, here, lost):
    address, scheduler, workers = cluster
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)
    scan = on_cluster(large_tree, tmp_path / "cluster" / "out.csv", address)
    wait_for_journal(tmp_path / "cluster")
    time.sleep(1)
    for process in workers if lost == "workers" else [scheduler]:
        process.kill()
    said = scan.communicate(timeout=120)[1]
    assert scan.returncode == 2, said
    assert said.count("\n") == 1, said
    assert "run the same command again and it goes on" in said
    assert ("has lost its workers" if lost == "workers" else "is lost; start it") in said
    assert outputs(tmp_path / "cluster") == {}
    assert main(["scan", str(large_tree), "--out", str(tmp_path / "cluster" / "out.csv")]) == 0
    assert outputs(tmp_path / "cluster") == here


def wait_for_journal(folder, seconds=60):
    end = time.monotonic() + seconds
    while not list(folder.glob("*.sqlite")):
        assert time.monotonic() < end, f"no journal in {folder}"
        time.sleep(0.05)


def wait_for(path: Path, seconds=30):
    end = time.monotonic() + seconds
    while not path.is_file() or not path.stat().st_size:
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.1)


def wait_for_workers(address, count):
    code = f"from distributed import Client; c = Client({address!r}, timeout='20s'); c.wait_for_workers({count}, 30)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_a_full_disk_is_said_and_the_scan_goes_on_when_there_is_room(large_tree, tmp_path):
    """Files may not grow beyond 60 kB, as on a disk that is full."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "from la_medical.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["scan", str(large_tree), "--out", str(tmp_path / "out.csv"), "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run the same command again" in done.stderr
    assert done.stderr.count("\n") == 1
    assert outputs(tmp_path) == {}
    assert main(arguments) == 0
    assert main(["scan", str(large_tree), "--out", str(tmp_path / "whole" / "out.csv")]) == 0
    assert outputs(tmp_path) == outputs(tmp_path / "whole")
