"""JSON and YAML from outside: plain values, or one kind of error, whatever they hold."""

import datetime
import itertools
import json
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from la_medical.artifacts import read_json
from la_medical.errors import InputError, LabelError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import load_card
from la_medical.parsing import DEEPEST, parse_json, parse_yaml, read_yaml, text_of

DEEP = "more than 50 levels of lists and"
TAG = "no tags and aliases are read"
YAML_PARTS = (
    "- ", "a: ", "? ", "[", "]", "{", "}", ", ", "\n", "\n  ", "&x ", "*x", "!!int ", "!!bool ", "!!set ", "!x ",
    "<<: ", "1", "0x1F", "1:59:59", ".nan", "2001-13-45", "2024-01-05", "2001-01-01 25:61:61", "'", '"', "|\n", ">",
    "\\ud800", "\0", "\t", "#", "%YAML 9.9\n", "---\n", "...\n", "é", "null", "~", "=", "yes",
)  # fmt: skip


def test_plain_values_are_read():
    text = "a: [1, 2.5, yes, ~, 'x', 2024-01-05]\nb: {c: d}\n"
    assert parse_yaml(text) == {"a": [1, 2.5, True, None, "x", datetime.date(2024, 1, 5)], "b": {"c": "d"}}
    assert parse_json('{"a": [1, 2.5, true, null, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, True, None, "😀"]}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 2001-13-45", "month must be in 1..12"),
        ("a: " + "1" * 5000, "4300 digits"),
        ("a: 0x" + "f" * 5000, "4300 digits"),
        ("a: !!int b", TAG),
        ("a: !!timestamp b", TAG),
        ("a: !!bool b", TAG),
        ("!!set {a, b}", TAG),
        ("! a", TAG),
        ("a: &x b\nc: *x", TAG),
        ("&x [*x]", TAG),
        ("a: 1\na: 2", "'a' stands twice"),
        ("{1: a, 01: b}", "1 stands twice"),
        ("{yes: a, true: b}", "True stands twice"),
        ('a: "\\Uffffffff"', "too large"),
        ("- {b: {1: a, 1: b}}", "1 stands twice"),
        ("a: [", "while parsing a flow node"),
        ("a\n---\nb", "expected a single document"),
        ('a: "\\ud800"', "surrogates not allowed"),
        ("{[a]: b}", "unhashable key"),
        ("[" * 100_000, DEEP),
        ("[" * 52 + "]" * 52, DEEP),
        ("- " * 1000 + "a", DEEP),
    ],
)
def test_yaml_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, DEEP),
        ('{"a":' * 100_000, DEEP),
        ("[" * 52 + "]" * 52, DEEP),
        ("1" * 5000, "4300 digits"),
        ('{"\\ud800": 1}', "surrogates not allowed"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: not JSON \("):
        read_json(tmp_path / "a.json")


def test_names_of_files_that_are_not_utf_8_are_read_where_they_may_be():
    assert parse_json('["caf\\udce9.dcm"]', halves=True) == ["caf\udce9.dcm"]


def test_times_of_day_are_texts():
    text = "{a: 12:30, b: 1:59:59.5, c: 0x1F, d: 017, e: 1_000, f: -2.5e+3, g: .inf, h: 0b11, i: 08, j: 1e5}"
    assert parse_yaml(text) == {"a": "12:30", "b": "1:59:59.5", "c": 31, "d": 15, "e": 1000, "f": -2500.0,
                                "g": float("inf"), "h": 3, "i": "08", "j": "1e5"}  # fmt: skip


def test_as_many_levels_as_are_read():
    for brackets in ("[]", "{}"):
        text = "1"
        for _ in range(DEEPEST):
            text = f"[{text}]" if brackets == "[]" else f'{{"a": {text}}}'
        assert json.dumps(parse_json(text)) == json.dumps(parse_yaml(text)) == text
        deeper = f"[{text}]"
        for parse in (parse_json, parse_yaml):
            with pytest.raises(ValueError, match=DEEP):
                parse(deeper)


def test_a_bomb_of_aliases_takes_no_memory(tmp_path):
    tenfold = [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in itertools.pairwise("abcdefghi")]
    lines = ["a: &a lol", *tenfold]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "name: *i", "classes: [x]"]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LabelError, match=rf"bomb\.yaml: not YAML that is read here \({TAG}"):
        LabelSpace.load(tmp_path / "bomb.yaml")
    with pytest.raises(ManifestError, match=rf"bomb\.yaml: not YAML that is read here \({TAG}"):
        load_card(tmp_path / "bomb.yaml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@given(st.lists(st.sampled_from(YAML_PARTS), max_size=40))
def test_any_yaml_is_read_or_refused(parts):
    try:
        content = parse_yaml("".join(parts))
    except ValueError:
        return
    json.dumps(content, default=str, ensure_ascii=False).encode()


@given(st.lists(st.sampled_from(YAML_PARTS), max_size=20), st.sampled_from(["version", "synonyms", "title", "notes"]))
def test_any_label_space_or_card_is_read_or_refused_in_one_line(tmp_path_factory, parts, key):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(f"name: s\nclasses: [a]\n{key}: {''.join(parts)}\n", encoding="utf-8")
    for load in (LabelSpace.load, load_card):
        said = ""
        try:
            load(path).to_dict()
        except InputError as error:
            said = str(error)
        assert "\n" not in said


def test_a_file_is_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(InputError, match=r"a\.yaml: not YAML that is read here \('utf-8' codec can't decode"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("a: [\n\n1")
    with pytest.raises(ManifestError) as caught:
        read_yaml(tmp_path / "a.yaml", ManifestError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, [], ["a"], {}, {"a": 1}])
def test_no_text(value):
    with pytest.raises(TypeError, match=r"expected a text, this is "):
        text_of(value)


def test_texts():
    assert [text_of(value) for value in ("a", 1, 1.5, True, datetime.date(2024, 1, 5))] == [
        "a",
        "1",
        "1.5",
        "True",
        "2024-01-05",
    ]
