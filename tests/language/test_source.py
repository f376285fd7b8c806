"""YAML text to nodes: what is read, and what is refused before it can do harm."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.errors import TemplateError
from crp.language import source
from crp.language.source import MAX_BYTES, Node, read


def values(text: str) -> dict[str, object]:
    return {key: entry.value.value for key, entry in read(text, "f.yaml").entries.items()}


def refusal(text: str | bytes) -> str:
    with pytest.raises(TemplateError) as caught:
        read(text, "f.yaml")
    assert len(caught.value.problems) == 1
    return str(caught.value).splitlines()[0]


def test_words_that_yaml_1_1_takes_for_something_else_stay_text() -> None:
    read_as = values("a: no\nb: yes\nc: on\nd: 1:30\ne: 2024-01-01\nf: 1_000\ng: off")
    assert list(read_as.values()) == ["no", "yes", "on", "1:30", "2024-01-01", "1_000", "off"]


def test_numbers_follow_yaml_1_2() -> None:
    read_as = values("a: 010\nb: 0o10\nc: 0x1F\nd: -3\ne: 1.5\nf: 1e3\ng: 1.10")
    assert list(read_as.values()) == [10, 8, 31, -3, 1.5, 1000.0, 1.1]


def test_quoted_numbers_are_text_and_the_empty_value_is_nothing() -> None:
    assert values("a: '1'\nb: \"true\"\nc:\nd: ~\ne: true") == {
        "a": "1",
        "b": "true",
        "c": None,
        "d": None,
        "e": True,
    }


def test_the_text_of_a_number_is_kept() -> None:
    assert read("version: 1.10", "f").entries["version"].value.raw == "1.10"


def test_numbers_of_absurd_length_stay_text() -> None:
    assert values(f"a: {'9' * 5000}") == {"a": "9" * 5000}


def test_every_node_knows_its_place() -> None:
    node = read("a:\n  - b\n  - cd: |\n      x\n", "f")
    inner = node.entries["a"].value.items[1]
    assert (inner.kind, inner.line, inner.column) == ("map", 3, 5)
    assert inner.entries["cd"].key.width == 2
    assert inner.entries["cd"].value.style == "|"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    node = read("\ufeffa: 1\r\nb: 2\r\n".encode(), "f")
    assert node.entries["b"].key.line == 2
    assert node.entries["a"].key.column == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *x", "f.yaml:1:4: error: aliases (*x) are not part of the language [Y005]"),
        ("a: &x 1", "f.yaml:1:4: error: anchors (&name) are not part of the language [Y006]"),
        ("a: !!int 1", "f.yaml:1:4: error: tags (!name) are not part of the language [Y007]"),
        ("a: !x {}", "f.yaml:1:4: error: tags (!name) are not part of the language [Y007]"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: error: a second document begins here [Y008]"),
        ("a: 1\nb: 2\na: 3", 'f.yaml:3:1: error: "a" stands here twice: first in line 1 [Y009]'),
        ("{a: 1, 'a': 2}", 'f.yaml:1:8: error: "a" stands here twice: first in line 1 [Y009]'),
        ("? [a]\n: 1", "f.yaml:1:3: error: a key must be a single word or text [Y012]"),
        ("", "f.yaml:1:1: error: the file is empty [Y011]"),
        ("# only a comment\n", "f.yaml:1:1: error: the file is empty [Y011]"),
        ("a: b: c", "f.yaml:1:5: error: mapping values are not allowed in this context [Y010]"),
        ("a:\n\tb: 1", "f.yaml:2:1: error: found character that cannot start any token [Y010]"),
        ("a: \x00", "f.yaml:1:4: error: a control character (U+0000) [Y013]"),
        ("a: 1\nb: \x1b[2J", "f.yaml:2:4: error: a control character (U+001B) [Y013]"),
        (b"a: 1\nb: \xff", "f.yaml:2:4: error: this is not UTF-8 text [Y001]"),
        ("a: \ud800", "f.yaml:1:4: error: this is not UTF-8 text [Y001]"),
        ("[" * 25, "f.yaml:1:25: error: nested deeper than 24 levels [Y003]"),
        ("[" + "a," * 20_000, "f.yaml:1:40000: error: more than 20,000 values [Y004]"),
        ("x" * (MAX_BYTES + 1), "f.yaml:1:1: error: the file is larger than 256 KB [Y002]"),
    ],
)
def test_what_a_template_does_not_need_is_refused(text: str | bytes, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 30_000,
        "{" * 30_000,
        "- " * 30_000,
        "[{a: " * 20_000,
        "[a," * 30_000,
        "[" + "a," * 60_000,
        "a: [" + "{}," * 60_000,
        "'" + "a" * 250_000,
        "!" * 250_000,
        "%FOO\n" * 40_000,
        "a: &a [" * 1_000,
        "? " * 30_000,
        '"\\' * 1_000,
        "<<: *a\n" * 1_000,
    ],
)
def test_hostile_files_are_refused_at_once(text: str) -> None:
    started = time.process_time()
    refusal(text)
    assert time.process_time() - started < 1


def test_the_python_parser_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a: no\nb: [1, {c: 'x'}]\nd: |\n  e\n", "[" * 30_000, "a: *b", "a: 1\na: 2"]
    with_c = [outcome(text) for text in texts]
    monkeypatch.setattr(source, "_PARSER", yaml.SafeLoader)
    assert [outcome(text) for text in texts] == with_c


def outcome(text: str | bytes) -> Node | list[str]:
    try:
        return read(text, "f")
    except TemplateError as error:
        return [f"{p.line} {p.column} {p.code}" for p in error.problems]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_text_is_read_or_refused_with_a_place(text: str | bytes) -> None:
    found = outcome(text)
    places = found if isinstance(found, list) else [f"{found.line} {found.column}"]
    assert places
    assert all(int(number) >= 1 for place in places for number in place.split()[:2])
