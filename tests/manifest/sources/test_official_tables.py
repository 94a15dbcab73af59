"""Tables and lists as sources publish them, and what is left of them after a broken download."""

import gzip

import pytest

from la_medical.errors import ManifestError
from la_medical.manifest.sources.image_files import stem
from la_medical.manifest.sources.official_tables import find_file, read_lines, read_table
from tests.manifest.sources.layouts import DAMAGED_GZIPS, text


@pytest.mark.parametrize("content", DAMAGED_GZIPS.values(), ids=list(DAMAGED_GZIPS))
@pytest.mark.parametrize(("read", "what"), [(read_table, "table"), (read_lines, "list")])
def test_packed_files_that_are_damaged_are_refused(tmp_path, content, read, what):
    path = tmp_path / "list.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=rf"list\.csv\.gz: cannot be read as a {what} \(.+\)$"):
        read(path)


@pytest.mark.parametrize(("read", "what"), [(read_table, "table"), (read_lines, "list")])
def test_files_that_are_absent_or_no_text_are_refused(tmp_path, read, what):
    path = tmp_path / "list.csv"
    with pytest.raises(ManifestError, match=rf"list\.csv: cannot be read as a {what} \(.*No such file"):
        read(path)
    path.write_bytes("größe\nä\n".encode("latin1"))
    with pytest.raises(ManifestError, match=rf"list\.csv: cannot be read as a {what} \('utf-8' codec can't decode"):
        read(path)


def test_a_table_is_read_as_text(tmp_path):
    """NA and 007 are IDs, a comma at the end of each row is no value, and a short row is blank where it ends."""
    table = read_table(text(tmp_path / "t.csv", "\ufeffid,who\r\n007,NA,\r\n8,,\r\n"))
    assert table.to_dict("list") == {"id": ["007", "8"], "who": ["NA", ""]}
    assert read_table(text(tmp_path / "t.csv", "id,who\n007\n")).to_dict("list") == {"id": ["007"], "who": [""]}


def test_a_file_is_found_as_it_is_or_packed(tmp_path):
    assert find_file(tmp_path, "a.csv", "b*.csv") is None
    packed = tmp_path / "b1.csv.gz"
    packed.write_bytes(gzip.compress(b"x"))
    assert find_file(tmp_path, "a.csv", "b*.csv") == packed
    assert find_file(packed, "b*.csv") == packed
    assert find_file(packed, "a.csv") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.c.NII.GZ", "b.c"),
        ("a\\b.png", "b"),
        ("scan.v2.gif", "scan.v2"),
        ("scan", "scan"),
        (".hidden", ".hidden"),
    ],
)
def test_the_stem_of_a_file_name(name, expected):
    assert stem(name) == expected
