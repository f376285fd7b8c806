"""Names of a template: found, offered, renamed and explained, also in a file that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from crp.authoring.expressions import words
from crp.authoring.glances import ENGINE, FILTERS, glance, word_glance
from crp.authoring.names import Outline, Place, outline
from crp.authoring.offers import offers
from crp.authoring.renaming import renamed
from crp.errors import UsageError
from crp.language.draft import RESERVED
from crp.language.load import lint, load
from crp.language.syntax import FILTERS as LANGUAGE_FILTERS
from tests.support.lsp import marked

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    path.stem: path.read_text("utf-8")
    for path in sorted((ROOT / "tests" / "language" / "examples").glob("*.yaml"))
}
HEAD = """template: x
inputs:
  audience: who reads it
extract:
  items: things to compare
snippets:
  tone: Be kind to {{ audience }}.
steps:
  profile:
    for_each: items
    prompt: Write about {{ item }} for {{ audience }}. {{ snippets.tone }}
    output:
      fields: {winner: text, score: number}
"""


def understood(text: str, line: int = 0) -> Outline:
    made = outline(text, cursor_line=line)
    assert made is not None
    return made


def offered(text: str) -> list[str]:
    """What is offered at the cursor."""
    clean, (line, column) = marked(text)
    return [one.label for one in offers(understood(clean, line + 1), clean, line + 1, column + 1)]


def written(text: str, place: Place) -> str:
    return text.split("\n")[place.line - 1][place.column - 1 :][: place.width]


def rename(text: str, new: str) -> str:
    """The text with the name at the cursor renamed."""
    clean, (line, column) = marked(text)
    made = understood(clean)
    mention = made.at(line + 1, column + 1)
    assert mention is not None
    lines = clean.split("\n")
    for place in reversed(renamed(made, mention, new)):
        shown = lines[place.line - 1]
        start = place.column - 1
        lines[place.line - 1] = shown[:start] + new + shown[start + place.width :]
    return "\n".join(lines)


# -- where names stand --------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_name_is_where_the_outline_says(name: str) -> None:
    text = EXAMPLES[name]
    mentions = understood(text).mentions
    assert len(mentions) > 5
    assert all(written(text, m.place) == m.name for m in mentions)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "  b: Compare {{ items }}\n",
        HEAD + "  b: 'It''s {{ items }}'\n",
        HEAD + '  b: "\\"quoted\\" {{ items }}"\n',
        HEAD + "  b: |\n    {% if items %}yes{% endif %}\n",
        HEAD + "  b: >-\n    folded\n    {{ items }}\n",
        HEAD + "  b: folded over\n    two lines {{ items }}\n",
        HEAD + "  b: {prompt: c, when: items}\n",
        HEAD + "  b: {prompt: c, when: 'items | length > 2'}\n",
        HEAD + "  b: {prompt: c, for_each: items}\n",
        HEAD + "  b: {prompt: c, checks: [covers: items]}\n",
        HEAD + '  b: {prompt: c, output: {choice: ["{{ items }}"]}}\n',
        HEAD + "  b: {prompt: c, output: {fields: {d: 'one of {{ items }}'}}}\n",
        HEAD + "  b: c\ntests:\n  one: {task: t, expect: {items: 3}}\n",
        HEAD + "  b: c\ntests:\n  one: {task: t, expect: {answer: [covers: items]}}\n",
        HEAD + "  b: c\ntests:\n  one: {task: t, expect: {answer: [mentions: '{{ items }}']}}\n",
        HEAD + "  b: c\ntests:\n  one: {task: t, recorded: {items: '- d'}}\n",
    ],
)
def test_every_way_to_use_a_list_is_found(text: str) -> None:
    made = understood(text)
    mention = next(m for m in made.mentions if m.name == "items")
    lines = {place.line for place in made.places(mention)}
    assert len(lines) == 3  # the definition, the step that goes over it, and this one
    assert all(written(text, place) == "items" for place in made.places(mention))


def test_what_a_loop_makes_and_what_stands_behind_a_dot_is_not_the_name() -> None:
    text = "{% for items in list %}{{ items }}{{ x.items }}{{ 'items' }}{% endfor %}{{ items }}"
    found = [w.start for w in words(text) if w.kind == "name" and w.text == "items"]
    assert found == [text.rindex("items")]


def test_the_fields_of_an_answer_come_before_names_in_its_conditions() -> None:
    step = "  b: {prompt: c, output: {fields: {items: number}}, checks: [expr: items > 3]}\n"
    text = HEAD + step
    assert [m.place.line for m in understood(text).mentions if m.name == "items"] == [5, 10]


def test_what_is_inherited_is_seen_and_has_no_place_here() -> None:
    text = "template: y\nextends: x\nsteps:\n  more: Go on with {{ profile }}\n"
    made = outline(text, base=HEAD)
    assert made is not None
    assert {"profile", "items"} <= {*made.visible(made.reader.texts[-1])}
    assert all(m.name == "more" for m in made.mentions)


# -- a file that is broken ----------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        "  b: {{ pro\n  c: Go on with {{ profile }}\n",
        "  b: {{ profile }}\n  c: Go on with {{ profile }}\n",
        "  b\n  c: Go on with {{ profile }}\n",
        '  b: "never closed\n',
        "  b: Compare {{ profile. and {{ items }\n",
        "  b: [1, 2\n  c: Go on with {{ profile }}\n",
        "  b: &anchor text\n",
        "  b:\n    promt: c\n",
    ],
)
def test_the_rest_of_a_broken_file_is_understood(broken: str) -> None:
    made = understood(HEAD + broken)
    assert {"audience", "items", "profile"} <= {*made.definitions}
    assert made.at(9, 4)


def test_what_is_no_mapping_has_no_outline() -> None:
    assert outline("") is None
    assert outline("- a\n- b\n") is None
    assert outline("\0") is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_that_is_cut_anywhere_or_has_a_line_too_much_is_no_trouble(name: str) -> None:
    text = EXAMPLES[name]
    signs = ("", "{{ ", "{% for x in ", "'", "[", "\n", "&a ", "}}", "|")
    for number, at in enumerate(range(0, len(text), 97)):
        for broken in (text[:at], text[:at] + signs[number % len(signs)] + text[at:]):
            line, column = broken.count("\n", 0, at) + 1, at - broken.rfind("\n", 0, at)
            made = outline(broken, cursor_line=line)
            if made is None:
                continue
            offers(made, broken, line, column)
            word_glance(made, broken, Place(line, column, 3))
            assert all(glance(made, one) for one in made.definitions.values())
            assert all(written(broken, m.place) == m.name for m in made.mentions)


# -- what is offered ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "some"),
    [
        (HEAD + "  b: Compare {{ ‸\n", "items audience profile task"),
        (HEAD + "  b: {{ ‸\n  c: d\n", "items audience profile task"),
        (HEAD + '  b: "Compare {{ ‸"\n', "items profile"),
        (HEAD + "  b: |\n    {% if ‸\n", "items profile"),
        (HEAD + "  b: |\n    {% for x in items %}{{ ‸ }}{% endfor %}\n", "x loop items"),
        (HEAD + "  b:\n    prompt: c\n    when: ‸\n", "items complexity capability"),
        (HEAD + "  b:\n    prompt: c\n    when: items | length > 2 and ‸\n", "items"),
        (HEAD + "  b:\n    prompt: c\n    for_each: items\n    title: {{ ‸\n", "item index"),
        (HEAD + "  b:\n    prompt: c\n    checks:\n      - expr: ‸\n", "items b"),
        (HEAD + "  b: Compare {{ items | ‸ }}\n", "join length bullets"),
        (HEAD + "  b: '{% ‸'\n", "for if endfor"),
        (HEAD + "  b: Compare {{ snippets.‸ }}\n", "tone"),
        (HEAD.replace("things to", "things for {{ ‸"), "audience task"),
    ],
)
def test_names_are_offered_where_they_can_be_used(text: str, some: str) -> None:
    assert {*some.split()} <= {*offered(text)}


@pytest.mark.parametrize(
    ("text", "all_of_them"),
    [
        (HEAD + "  b: |\n    {% for i in profile %}{{ profile[i].‸ }}\n", "winner score"),
        (HEAD + "  b: |\n    {% for i in profile %}{{ loop.‸ }}\n", "index first last length"),
        (HEAD + "  b:\n    for_each: ‸\n    prompt: c\n", "items"),
        (HEAD + "  b:\n    prompt: c\n    checks:\n      - covers: ‸\n", "items"),
        (HEAD + "  b:\n    needs: [‸]\n    prompt: c\n", "profile"),
        (HEAD + "    vote: ‸\n", "winner score"),
        (HEAD + "  b: no braces ‸\n", ""),
        (HEAD + "  b: closed {{ items }} ‸\n", ""),
    ],
)
def test_nothing_else_is_offered(text: str, all_of_them: str) -> None:
    assert offered(text) == all_of_them.split()


def test_a_list_does_not_see_steps_and_a_step_not_itself() -> None:
    assert "profile" not in offered(HEAD.replace("things to", "things {{ ‸"))
    assert "b" not in offered(HEAD + "  b: Go on with {{ ‸\n")


def test_an_entry_of_previous_answers_has_the_fields_of_the_step() -> None:
    text = EXAMPLES["multi-hop-question"].replace("{{ p.answer }}", "{{ p.‸ }}")
    assert offered(text) == ["item", "answer", "source", "sure"]


def test_all_names_of_the_engine_and_all_filters_have_an_explanation() -> None:
    syntax = {"answer", "outline", "quality", "true", "false", "none", "and", "or", "not", "in"}
    syntax |= {"if", "else", "elif", "for", "is"}
    assert {*ENGINE} == {*RESERVED} - syntax
    assert {*FILTERS} == {*LANGUAGE_FILTERS}


# -- another name -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["comparison", "multi-hop-question"])
def test_a_renamed_template_still_works_and_is_otherwise_the_same(name: str) -> None:
    text = EXAMPLES[name]
    made = understood(text)
    for old in made.definitions:
        if text.count(f"\n  {old}:") != 1:
            continue
        cursor = text.replace(f"\n  {old}:", f"\n  ‸{old}:")
        changed = rename(cursor, "other_name")
        assert [p for p in lint(changed, "x.yaml") if p.severity == "error"] == []
        assert rename(changed.replace("\n  other_name:", "\n  ‸other_name:", 1), old) == text
        assert old not in {*understood(changed).definitions}
        assert load(changed, "x.yaml").template == load(text, "x.yaml").template


def test_a_snippet_is_renamed_in_texts() -> None:
    changed = rename(HEAD.replace("snippets.tone", "snippets.to‸ne"), "voice")
    assert changed == HEAD.replace("tone", "voice")


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("audience", "is taken"),
        ("task", "is taken"),
        ("item", "is taken"),
        ("score", "is taken"),
        ("Big", "must begin with a-z"),
        ("a-b", "must begin with a-z"),
    ],
)
def test_a_name_that_can_not_be_had_is_refused(new: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rename(HEAD.replace("for_each: items", "for_each: it‸ems"), new)


def test_nothing_is_renamed_while_a_line_can_not_be_read() -> None:
    with pytest.raises(UsageError, match="line 14 can not be read"):
        rename(HEAD.replace("for_each: items", "for_each: it‸ems") + "  b: {{ items }}\n", "new")


# -- what a name is -----------------------------------------------------------------------


def shown(text: str, name: str) -> str:
    made = understood(text)
    return glance(made, made.definitions[name])


def test_a_step_is_shown_as_its_prompt_with_what_is_known() -> None:
    text = HEAD.replace("who reads it", "{help: who, default: a child}") + (
        "    checks: [words: 3-9]\n"
    )
    said = shown(text, "profile")
    assert "Write about <items 1> for a child. Be kind to a child." in said
    assert "for each of `items`" in said
    assert "Reads: `audience`, `items`" in said
    assert "Gives: `fields` with `winner`, `score`" in said
    assert "Checks: `words: 3-9`" in said


def test_the_prompt_of_a_step_with_a_mistake_is_shown_as_it_is_written() -> None:
    assert "Go on with {{ nothing }}" in shown(HEAD + "  b: Go on with {{ nothing }}\n", "b")


def test_a_list_and_an_input_say_what_they_are() -> None:
    assert "things to compare" in shown(HEAD, "items")
    assert "**audience** · input, text\n\nwho reads it" in shown(HEAD, "audience")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "  b: Compare {{ ta‸sk }}\n", "the request"),
        (HEAD + "  b: Compare {{ items | le‸ngth }}\n", "filter"),
        (HEAD + "  b: '{% for i in profile %}{{ profile[i].win‸ner }}{% endfor %}'\n", "text, of"),
        (HEAD + "  b: '{% for i in items %}{{ ‸i }}{% endfor %}'\n", "each of `items`"),
        (HEAD.replace("{{ item }}", "{{ it‸em }}"), "the current entry of `items`"),
        (HEAD + "  b: {prompt: c, when: comp‸lexity > 2}\n", "how hard"),
    ],
)
def test_a_word_that_the_file_does_not_make_is_explained(text: str, said: str) -> None:
    clean, (line, column) = marked(text)
    row = clean.split("\n")[line]
    start = max(row.rfind(sign, 0, column) for sign in " .[{") + 1
    end = start
    while end < len(row) and (row[end].isalnum() or row[end] == "_"):
        end += 1
    place = Place(line + 1, start + 1, end - start)
    assert said in word_glance(understood(clean), clean, place)
