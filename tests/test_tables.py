"""Table files from outside: read as they stand, or refused in one line."""

import csv

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from la_medical import tables
from la_medical.errors import InputError, ManifestError
from la_medical.tables import LONGEST_ROW, column_names, read_table


def test_csv_is_text_as_it_stands(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffid,n,"a,b"\r\n007,1e5,NA\r\n"x\ny",,"say ""no"""\r\n'.encode())
    assert read_table(path).to_dict("list") == {"id": ["007", "x\ny"], "n": ["1e5", ""], "a,b": ["NA", 'say "no"']}
    assert set(read_table(path).dtypes.astype(str)) == {"str"}
    assert column_names(path) == ["id", "n", "a,b"]


@pytest.mark.parametrize("head", ["", "\n\n", "\r\n", "\ufeff", "\ufeff\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n"])
def test_blank_lines_before_and_after(tmp_path, head, end):
    (tmp_path / "t.csv").write_text(f"{head}id,b\n007,1{end}", encoding="utf-8", newline="")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"id": ["007"], "b": ["1"]}
    assert column_names(tmp_path / "t.csv") == ["id", "b"]


@given(
    st.lists(
        st.sampled_from(["a", "b", "007", ",", "\n", "\r", "\r\n", '"', '""', " ", "é", "\t", ";", "#"]), max_size=15
    )
)
def test_a_csv_is_what_python_s_csv_reads_or_refused(tmp_path_factory, parts):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("".join(parts), encoding="utf-8", newline="")
    try:
        table = read_table(path)
    except InputError:
        return
    with path.open(encoding="utf-8", newline="") as stream:
        names, *rows = [row for row in csv.reader(stream, strict=True) if row]
    rows = [row for row in rows if len(row) == len(names)]  # a line of blanks is no row
    kept = [place for place, name in enumerate(names) if name or any(row[place] for row in rows)]
    assert [list(table.columns), *table.to_numpy().tolist()] == [
        [row[place] for place in kept] for row in (names, *rows)
    ]
    assert set(table.dtypes.astype(str)) == {"str"}


def test_what_spreadsheets_leave_behind_is_left_out(tmp_path):
    (tmp_path / "t.csv").write_text('id,size,,\n007,5" cut,,\n   \nb,"say ""no""",,\n\t\n')
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"id": ["007", "b"], "size": ['5" cut', 'say "no"']}
    (tmp_path / "t.csv").write_text(",id\n0,a\n1,b\n")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"": ["0", "1"], "id": ["a", "b"]}


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_a_head_without_rows_is_an_empty_table(tmp_path, end):
    (tmp_path / "t.csv").write_text(f"id,b{end}", newline="")
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["id", "b"]
    assert len(table) == 0
    assert set(table.dtypes.astype(str)) == {"str"}


def test_a_row_may_be_as_long_as_a_series_has_files(tmp_path):
    long = "x" * (LONGEST_ROW // 4)
    (tmp_path / "t.csv").write_text(f'id,files\n1,"{long}"\n2,b\n')
    assert read_table(tmp_path / "t.csv")["files"].tolist() == [long, "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "(it names no column)"),
        (b"\n,,\n1,2,3\n", "(it names no column)"),
        (b"a,,\n1,2,\n1,,2\n", "two columns are called ''; keep one"),
        (b'a,b\n1,"2\n3,4\n', "a quote that does not end, or ends inside a value: unexpected end of data"),
        (b'a,b\n"1\n2,"x"\n3,4\n', "a quote that does not end, or ends inside a value: "),
        (b'a,"b\n1,2\n', "a quote that does not end, or ends inside a value: "),
        (b"a,a\n1,2\n", "two columns are called 'a'; keep one"),
        (b"a,b\n1,2,3\n1,2,3\n", "(row 1: expected 2 values, got 3; put a text that holds a comma in quotes)"),
        (b'a,b\n"1\n2",2\n3,4\n5\n6\n', "(row 3: expected 2 values, got 1)"),
        (b"a\n" + b"x\n" * 10_000 + b"\xff\n", "line 10002 is not UTF-8 (byte 0xff); save the file as UTF-8"),
        (b"\xff\n1\n", "line 1 is not UTF-8 (byte 0xff)"),
        (b"a\nMet\xe9llus\n", "line 2 is not UTF-8 (byte 0xe9)"),
        (b"a\nx\nM\xc3", "line 3 is not UTF-8 (byte 0xc3)"),
    ],
)
def test_csv_that_is_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        read_table(path, ManifestError)
    said = str(caught.value)
    assert said.startswith(f"{path}: cannot be read as csv (")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("letter", ["é", "中", "\U0001f600"])
def test_letters_of_several_bytes_at_the_edge_of_a_block(tmp_path, letter):
    """A MiB is looked at at a time; the edge falls into every byte of a letter."""
    path = tmp_path / "t.csv"
    for missing in range(1, 1 + len(letter.encode())):
        path.write_text("a,b\n" + "x" * ((1 << 20) - 4 - missing) + letter + ",2\n", encoding="utf-8")
        assert read_table(path)["a"].iloc[0].endswith("x" + letter)
        path.write_bytes(path.read_bytes()[:-4] + b",2\n")  # without the last byte of the letter
        with pytest.raises(InputError, match="line 2 is not UTF-8"):
            read_table(path)


def test_an_uneven_row_that_is_not_utf_8_is_not_quoted(tmp_path, capfd):
    """pyarrow cannot hand it over, and would quote it."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,n\n" + b"1,2\n" * 20_000 + b"Met\xe9llus,3,4\n")
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert "line 20002 is not UTF-8 (byte 0xe9)" in str(caught.value)
    assert "llus" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.binary(), [b"\xff"]),
        (pa.large_binary(), [b"a"]),
        (pa.binary(1), [b"a"]),
        (pa.binary_view(), [b"a"]),
        (pa.list_(pa.int64()), [[1]]),
        (pa.struct([("b", pa.int64())]), [{"b": 1}]),
        (pa.duration("s"), [1]),
        (pa.dictionary(pa.int8(), pa.binary()), [b"a"]),
    ],
    ids=str,
)
def test_parquet_columns_that_are_refused(tmp_path, kind, values):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": ["1"], "a": pa.array(values, kind)}), path)
    with pytest.raises(
        InputError, match=r"t\.parquet: cannot be read as parquet \(column 'a' holds .*; expected text, "
    ):
        read_table(path)


def test_parquet_columns_that_are_read(tmp_path):
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"id": ["007"], "n": [1], "x": [0.5], "yes": [True], "when": [pd.Timestamp("2024-01-05")],
                          "kind": pd.Categorical(["a"]), "label": pd.array([None], "Int8")})  # fmt: skip
    table.to_parquet(path)
    pd.testing.assert_frame_equal(read_table(path), table.astype({"kind": "str"}))
    assert column_names(path) == list(table.columns)


def test_the_folder_of_a_file_says_nothing(tmp_path):
    """pandas and pyarrow take `split=train` for a column of all files in such a folder."""
    path = tmp_path / "split=train" / "_t.parquet"
    path.parent.mkdir()
    pd.DataFrame({"id": ["1"], "split": ["val"]}).to_parquet(path)
    assert read_table(path).to_dict("list") == {"id": ["1"], "split": ["val"]}


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": ["x" * 1000] * 50_000}), path)
    packed = path.stat().st_size
    assert packed < 20_000
    assert len(read_table(path)) == 50_000
    monkeypatch.setattr(tables, "UNPACKED", 1 << 20)
    with pytest.raises(InputError) as caught:
        read_table(path)
    said = f"{packed} bytes unpack to more than {(2**20 + 100 * packed) / 2**30:.1f} GiB"
    assert str(caught.value) == f"{path}: cannot be read as parquet ({said}; if that is right, write it as CSV)"


@pytest.mark.parametrize("dictionary", [True, False])
def test_texts_that_stand_for_terabytes_take_no_memory(tmp_path, dictionary):
    """A million rows of one text of a million letters, in a file of 3 KB: a few thousand rows would fill the memory."""
    path = tmp_path / "t.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["x" * 1_000_000]))
    parquet.write_table(pa.table({"id": text}), path, compression="zstd", dictionary_pagesize_limit=1 << 30,
                        store_schema=dictionary)  # fmt: skip
    assert path.stat().st_size < 10_000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(InputError, match=r"bytes unpack to more than 1\.0 GiB"):
        read_table(path)
    assert pa.default_memory_pool().max_memory() <= max(before, 1 << 28)


def test_categories_are_read_as_what_they_are(tmp_path):
    """Several row groups have several dictionaries; the size of none is counted again for each batch of rows."""
    path = tmp_path / "t.parquet"
    names = [f"images/{number:06d}.nii.gz" for number in range(30_000)]
    frame = pd.DataFrame({"path": pd.Categorical(names), "side": pd.Categorical(["left", None] * 15_000)})
    frame.to_parquet(path, row_group_size=20_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "UNPACKED", 3_000_000)
        patch.setattr(tables, "UNPACKED_TIMES", 0)
        read = read_table(path)
    assert read["path"].tolist() == names
    assert read["side"].iloc[0] == "left"
    assert read["side"].isna().tolist() == [False, True] * 15_000
    assert read.dtypes.astype(str).tolist() == ["str", "str"]


def test_checksums_of_pages_are_compared(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"id": [f"case {number}" for number in range(100)]})
    parquet.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    assert read_table(path)["id"].iloc[-1] == "case 99"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"case 57", b"case 58"))
    with pytest.raises(InputError, match="checksum"):
        read_table(path)


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": ["a", "case 57"]}), path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"case 57", b"case \xff7"))
    with pytest.raises(InputError, match=r"t\.parquet: cannot be read as parquet \(.*Invalid UTF8"):
        read_table(path)


def test_damaged_pandas_metadata_is_refused_in_one_line(tmp_path):
    """pandas raises KeyError and TypeError for it, pyarrow NotImplementedError."""
    path = tmp_path / "t.parquet"
    for metadata, said in ((b"{}", "KeyError: "), (b"{", "Expecting property name")):
        parquet.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"pandas": metadata}), path)
        with pytest.raises(InputError, match=rf"t\.parquet: cannot be read as parquet \({said}"):
            read_table(path)


def test_column_names_of_what_is_no_table(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ManifestError, match=r"t\.parquet: cannot be read as parquet \("):
        column_names(tmp_path / "t.parquet", ManifestError)
    with pytest.raises(InputError, match=r"t\.csv: cannot be read as csv \(.*No such file"):
        column_names(tmp_path / "t.csv")
