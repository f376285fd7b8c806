"""Output kinds: forgiving where a model is clumsy, strict where a guess would be wrong."""

from __future__ import annotations

import time
import unicodedata
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from crp.language.outputs import Parsed, clean, json_schema, parse, sentence, show
from crp.language.schema import Output, OutputField, OutputKind

KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
NAMES: dict[str, JsonValue] = {"items": ["React", "Vue"]}
FIELDS = (
    OutputField(name="winner", kind="choice", options_from="items"),
    OutputField(name="confidence", kind="number", low=0, high=1),
    OutputField(name="reasons", kind="list"),
    OutputField(name="since", kind="date", optional=True),
    OutputField(name="sure", kind="yes_no", optional=True),
)
SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1},
        "tame": {"type": "boolean"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def an_output(kind: OutputKind, low: float | None = None, high: float | None = None) -> Output:
    return Output(
        kind=kind,
        low=low,
        high=high,
        options=("{{ items }}", "none of them") if kind == "choice" else (),
        fields=FIELDS if kind == "fields" else (),
        columns=("aspect", "{{ items }}") if kind == "table" else (),
        json_schema=SCHEMA if kind == "schema" else {},
    )


def read(
    kind: OutputKind, text: str, low: float | None = None, high: float | None = None
) -> Parsed:
    return parse(an_output(kind, low, high), text, NAMES)


# -- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", ["-", "*", "+", "•", "–", "●", "1.", "1)", "(1)", "Step 1:"])
def test_bullets_may_have_any_marker(marker: str) -> None:
    assert read("bullets", f"{marker} fast\n{marker} small").value == ["fast", "small"]


def test_a_preamble_and_chatter_around_bullets_are_left_out() -> None:
    parsed = read("bullets", "Sure! Here are some:\n\n- fast\n- small\n\nHope this helps!")
    assert parsed.value == ["fast", "small"]
    assert parsed.text == "- fast\n- small"


def test_digits_that_belong_to_the_text_are_not_eaten() -> None:
    text = "1. 3D rendering\n2. 3.5 GHz\n3. -5 degrees"
    assert read("numbered", text).value == ["3D rendering", "3.5 GHz", "-5 degrees"]


def test_bullets_below_a_bullet_belong_to_it() -> None:
    assert read("bullets", "- Vue:\n  - easy\n  - small\n- React").value == [
        "Vue: easy; small",
        "React",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "React, Vue and Angular",
        "React, Vue, and Angular.",
        "The items are: React, Vue, Angular",
        '["React", "Vue", "Angular"]',
        '```json\n{"items": ["React", "Vue", "Angular"]}\n```',
        "React\nVue\nAngular",
        "**React**\n**Vue**\n**Angular**",
    ],
)
def test_a_list_is_found_however_it_is_written(text: str) -> None:
    assert read("list", text).value == ["React", "Vue", "Angular"]


def test_the_same_entry_counts_once() -> None:
    assert read("bullets", "- Fast\n- fast.\n- small").value == ["Fast", "small"]


def test_too_few_entries_are_a_problem_but_keep_their_value() -> None:
    parsed = read("bullets", "- one", 3, 7)
    assert parsed.value == ["one"]
    assert "3 to 7" in parsed.problems[0]


def test_too_many_entries_are_cut_to_what_was_asked_for() -> None:
    parsed = read("bullets", "- a\n- b\n- c", 1, 2)
    assert (parsed.value, parsed.problems) == (["a", "b"], ())


# -- single values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("I'd give it 7 out of 10.", 7),
        ("12 + 30 = 42 apples", 42),
        ("The answer is **15**, because 3 times 5 is 15.", 15),
        ("about 1,200 people", 1200),
        ("$3.5 million", 3_500_000),
        ("seven", 7),
        ("−5", -5),
        ('{"answer": 5}', 5),
        ("no number here", None),
        ("version 1.2.3", None),
        ("9" * 5000, None),
        ("1e99999", None),
    ],
)
def test_a_number_is_found_in_the_words_around_it(text: str, value: float | None) -> None:
    assert read("number", text).value == value


def test_a_number_out_of_range_is_no_answer() -> None:
    parsed = read("number", "15", 0, 10)
    assert parsed.value is None
    assert "from 0 to 10" in parsed.problems[0]


def test_a_percentage_is_a_share_where_one_is_the_most() -> None:
    assert read("number", "70% sure", 0, 1).value == 0.7


def test_an_integer_must_be_whole() -> None:
    assert read("integer", "7.0").value == 7
    assert read("integer", "7.5").value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes, because it is.", "yes"),
        ("**No**.", "no"),
        ("I think the answer is no.", "no"),
        ("It is not true.", "no"),
        ("The statement is correct.", "yes"),
        ('{"answer": false}', "no"),
        ("There is no doubt that it is true", "yes"),
        ("Some reasoning.\nYes", "yes"),
        ("Maybe yes or no", None),
        ("It depends.", None),
    ],
)
def test_yes_and_no_are_read_and_doubt_is_not(text: str, value: str | None) -> None:
    assert read("yes_no", text).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("vue", "Vue"),
        ("**Vue** is easier", "Vue"),
        ("I compared both. Answer: React", "React"),
        ('{"answer": "Vue"}', "Vue"),
        ("It must be none of them", "none of them"),
        ("Either React or Vue", None),
        ("Svelte", None),
    ],
)
def test_a_choice_is_one_option_or_nothing(text: str, value: str | None) -> None:
    assert read("choice", text).value == value


def test_a_letter_as_an_option_is_not_an_article() -> None:
    output = Output(kind="choice", options=("A", "B"))
    assert parse(output, "A good reason speaks for it. Answer: B", {}).value == "B"


def test_a_line_is_the_first_that_says_something() -> None:
    assert read("line", 'Sure! Here it is:\n\nAnswer: "Paris"\n\nIt is a city.').value == "Paris"


def test_code_is_what_stands_between_the_fences() -> None:
    text = "Here you are:\n```python\ndef f():\n    return 1\n```\nThis returns 1."
    assert read("code", text).value == "def f():\n    return 1"


# -- JSON, fields, tables -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2], "b": null}',
        'Here is it: {"a": [1, 2], "b": null} I hope that helps {you}.',
        '```json\n{"a": [1, 2], "b": null}\n```',
        "{'a': [1, 2,], 'b': None}",
        "{a: [1, 2], b: null,}",
        '{"a": [1, 2], "b": NaN}',
        "set {x}, then {“a”: [1, 2], “b”: null}",
    ],
)
def test_json_is_found_and_mended(text: str) -> None:
    parsed = read("json", text)
    assert (parsed.value, parsed.problems) == ({"a": [1, 2], "b": None}, ())


def test_json_that_was_cut_off_is_closed_and_is_a_problem() -> None:
    parsed = read("json", '{"a": "x", "b": [1, {"c": "unfin')
    assert parsed.value == {"a": "x", "b": [1, {"c": "unfin"}]}
    assert parsed.problems


def test_texts_inside_json_are_cleaned_too() -> None:
    assert read("json", '{"a": "x\\u0000\\u202ey\\ud800"}').value == {"a": "xy\ufffd"}


@pytest.mark.parametrize("text", ["[" * 500_000, '{"a":' * 100_000, "[" * 900 + "]" * 900])
def test_deep_nesting_is_no_json_and_does_no_harm(text: str) -> None:
    assert read("json", text).value is None


FIELDS_VALUE = {
    "winner": "Vue",
    "confidence": 0.7,
    "reasons": ["easy", "small"],
    "since": "2014-02-01",
    "sure": "yes",
}


@pytest.mark.parametrize(
    "text",
    [
        '{"winner": "Vue", "confidence": 0.7, "reasons": ["easy", "small"],'
        ' "since": "2014-02-01", "sure": true}',
        "**Winner:** Vue\n**Confidence:** 70%\n**Reasons:**\n- easy\n- small\n"
        "Since: 1 February 2014\nSure: Yes.",
        '{"result": {"Winner": "vue", "Confidence": "0.7", "Reasons": "easy, small",'
        ' "Since": "February 1, 2014", "Sure": "yes"}}',
    ],
)
def test_fields_are_read_from_json_and_from_lines(text: str) -> None:
    assert read("fields", text).value == FIELDS_VALUE


def test_a_missing_field_is_a_problem_only_when_it_is_needed() -> None:
    parsed = read("fields", "Winner: Vue\nReasons: easy, small")
    assert [problem.split(":")[0] for problem in parsed.problems] == ['Give "confidence"']


def test_a_choice_field_takes_only_its_options() -> None:
    assert read("fields", '{"winner": "Svelte", "confidence": 1, "reasons": ["x"]}').problems


TABLE = [{"aspect": "speed", "React": "fast", "Vue": "faster"}]


@pytest.mark.parametrize(
    "text",
    [
        "Here:\n\n| aspect | React | Vue |\n|---|---|---|\n| speed | fast | faster |",
        "| Feature | React | Vue |\n|:--|:-:|--:|\n| speed | fast | faster |\n\nDone.",
        "| aspect | Vue | React |\n|---|---|---|\n| speed | faster | fast |",
        "speed | fast | faster",
        '[{"aspect": "speed", "React": "fast", "Vue": "faster"}]',
    ],
)
def test_a_table_is_rows_by_column(text: str) -> None:
    assert read("table", text).value == TABLE


def test_a_column_that_is_missing_is_named() -> None:
    parsed = read("table", "| aspect | React |\n|---|---|\n| speed | fast |")
    assert parsed.problems == ("The table needs a column for Vue.",)


# -- hostile text ---------------------------------------------------------------------------------


def test_clean_keeps_newlines_and_tabs_and_drops_what_is_not_text() -> None:
    dirty = "\x1b[31mred\x1b[0m\ta\r\nb\x00\x07\u202ec\u200b\x1b]0;title\x07d\ud83d\ude00"
    assert clean(dirty) == "red\ta\nbcd😀"


def test_clean_composes_letters_so_that_equal_words_are_equal() -> None:
    assert clean("cafe\u0301") == "café"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_clean_gives_text_that_can_be_stored_and_changes_it_only_once(text: str) -> None:
    once = clean(text)
    once.encode("utf-8")
    assert clean(once) == once
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in once)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.text(alphabet=st.characters(), max_size=400))
def test_parse_takes_anything(kind: OutputKind, text: str) -> None:
    parsed = read(kind, text, 1, 3)
    parsed.model_dump_json()
    assert (parsed.value is not None) or parsed.problems


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.sampled_from(["{", "}", "[", "]", '"', "'", ":", ",", "|", "-", "\n", "```", "a",
                              "1", "Answer:", "yes", "\\", "**", " ", "{{ items }}"]), max_size=60),
)  # fmt: skip
def test_parse_takes_broken_structure(kind: OutputKind, pieces: list[str]) -> None:
    read(kind, "".join(pieces), 1, 3).model_dump_json()


@pytest.mark.parametrize(
    "text",
    ["\0" * 1_000_000, "[" * 3_000_000, "- a\n" * 700_000, "|-" * 1_500_000, "'\"" * 1_500_000,
     " " * 3_000_000 + "x", "answer" + " " * 3_000_000, "a\u0301\u0323" * 1_000_000],
    ids=["nul", "brackets", "bullets", "rules", "quotes", "blanks", "label", "marks"],
)  # fmt: skip
def test_millions_of_characters_take_no_more_than_seconds(text: str) -> None:
    start = time.process_time()
    for kind in KINDS:
        read(kind, text, 1, 3)
    assert time.process_time() - start < 12  # all 14 kinds; quadratic time would be hours


# -- the other sides of a kind --------------------------------------------------------------------


def test_the_sentence_names_range_options_and_columns() -> None:
    assert sentence(Output(), {}) == ""
    assert "3 to 7" in sentence(an_output("bullets", 3, 7), NAMES)
    assert "exactly 3" in sentence(an_output("numbered", 3, 3), NAMES)
    assert "React, Vue, none of them" in sentence(an_output("choice"), NAMES)
    assert "| aspect | React | Vue |" in sentence(an_output("table"), NAMES)
    assert '"winner": <one of: React, Vue>' in sentence(an_output("fields"), NAMES)


def test_a_schema_is_given_for_data_and_not_for_prose() -> None:
    assert {kind for kind in KINDS if json_schema(an_output(kind), NAMES)} == {
        "json",
        "choice",
        "fields",
        "schema",
    }


def test_what_a_schema_makes_a_server_write_can_be_read() -> None:
    schema = json_schema(an_output("fields"), NAMES)
    assert schema is not None
    assert schema["properties"]["winner"]["enum"] == ["React", "Vue"]
    assert {"type": "null"} in schema["properties"]["since"]["anyOf"]


def test_values_read_well_in_a_later_prompt() -> None:
    assert show(["a", "b"]) == "- a\n- b"
    assert show({"winner": "Vue", "reasons": ["x", "y"], "sure": True}) == (
        "winner: Vue\nreasons: x; y\nsure: yes"
    )
    assert show({"React": ["a"], "Vue": ["b"]}) == "## React\n- a\n\n## Vue\n- b"
    assert show([{"a": 1, "b": 0.5}]) == "| a | b |\n| --- | --- |\n| 1 | 0.5 |"
    assert show({"React": ["a"]}, "Notes") == "## Notes\n### React\n- a"
    assert show(None) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_any_value_can_be_shown(value: JsonValue) -> None:
    assert isinstance(show(value, "x"), str)


# -- schemas --------------------------------------------------------------------------------------


def a_schema(**schema: JsonValue) -> Output:
    return Output(kind="schema", json_schema=schema)


def test_nearly_right_values_are_put_right() -> None:
    text = 'Sure: {"name": 7, "age": "44 years", "tags": "RED", "tame": "yes", "more": 1}'
    parsed = read("schema", text)
    assert parsed.value == {"name": "7", "age": 44, "tags": ["red"], "tame": True}
    assert parsed.problems == ()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('{"name": "a"}', ("'age' is a required property.",)),
        (
            '{"name": "a", "age": -1, "tags": []}',
            ('In "age": -1 is less than the minimum of 0.', 'In "tags": [] should be non-empty.'),
        ),
        ('{"name": "a", "age": 1, "tags": ["red"', ("The JSON was not finished.",)),
        ('{"name": "a", "age": "old"}', ("In \"age\": 'old' is not of type 'integer'.",)),
    ],
)
def test_what_does_not_fit_keeps_its_value_and_is_a_problem(
    text: str, problems: tuple[str, ...]
) -> None:
    parsed = read("schema", text)
    assert parsed.value is not None
    assert parsed.problems == problems


def test_an_answer_without_json_has_no_value_and_is_told_the_form() -> None:
    parsed = read("schema", "He is tame.")
    assert parsed.value is None
    assert parsed.problems == (sentence(an_output("schema"), NAMES),)
    assert '"required":["name","age"]' in parsed.problems[0]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "The answer is 44.", 44),
        ("string", "Answer: Paris", "Paris"),
        ("boolean", "Yes, it is.", True),
        ("array", '{"answer": [1, "b"]}', [1, "b"]),
        ("number", '{"answer": 1.5}', 1.5),
    ],
)
def test_a_schema_may_be_of_one_value_and_a_server_gets_an_object(
    kind: str, text: str, value: JsonValue
) -> None:
    output = a_schema(type=kind)
    assert parse(output, text, NAMES).value == value
    schema = json_schema(output, NAMES)
    assert schema is not None
    assert schema["properties"] == {"answer": {"type": kind}}


def test_an_object_s_schema_goes_to_the_server_as_it_is() -> None:
    assert json_schema(an_output("schema"), NAMES) == SCHEMA
