"""Checks: good answers pass, and nothing that only looks like an answer gets a good score."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from crp.language.checks import AT_LEAST, Scope, mean, run, score
from crp.language.schema import (
    CHECK_KINDS,
    Check,
    Extract,
    Output,
    QualityRules,
    Step,
    Template,
)
from crp.models import Candidate, Score, Verdict

TASK = "Compare React, Vue and Angular for a small team"
NAMES: dict[str, JsonValue] = {
    "items": ["React", "Vue", "Angular"],
    "dimensions": ["performance", "learning curve", "ecosystem"],
}
SCOPE = Scope(task=TASK, names=NAMES)
COMPARISON = Template(
    template="comparison",
    steps=(Step(id="a", text="x"),),
    extract=(Extract(name="items"), Extract(name="dimensions")),
)
GOOD = (
    "React, Vue and Angular solve the same problem in different ways. On performance, React uses "
    "a virtual DOM and is fast for most apps, Vue uses compiled templates with a small bundle, and "
    "Angular is compiled ahead of time. The learning curve is the easiest with Vue. React takes a "
    "few weeks because of JSX and hooks. Angular is steep and needs TypeScript. The ecosystem is "
    "the largest around React, while Vue has an official router. A small team fits Vue."
)
LOOP = "It's also known for its large-scale development and its high performance in industry. "
KEYWORDS = "React, Vue, Angular, performance, learning curve, ecosystem."
FACTS = """# Zorb

- weight: 3.5 kg
- price: 1,200

# Blib
Blib weighs 7 kg. It was built in Paris in 1998."""
ABOUT = Scope(task="Describe the Zorb and the Blib", facts=FACTS, names={"item": "Zorb"})


def check(
    kind: str,
    text: str,
    value: JsonValue = None,
    scope: Scope = SCOPE,
    answered: JsonValue = None,
    **more: Any,
) -> Verdict:
    given = text if answered is None else answered
    return run([Check(kind=kind, value=value, **more)], text, given, scope)[0]


def scored(text: str, template: Template = COMPARISON, scope: Scope = SCOPE) -> Score:
    return score(template, Candidate(kind="direct", text=text), scope)


# -- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist.",
        "As an AI language model, I have no opinion.",
        "I don't have enough information to answer.",
    ],
)
def test_a_refusal_is_found(text: str) -> None:
    assert not check("no_refusal", text).passed


@pytest.mark.parametrize(
    "text", [GOOD, "I cannot help but admire it.", "The shop was sorry to see him go."]
)
def test_an_answer_is_no_refusal(text: str) -> None:
    assert check("no_refusal", text).passed


@pytest.mark.parametrize("text", ["Vue is small and", "It has three parts (", "```python\nx = 1"])
def test_a_text_that_breaks_off_is_not_complete(text: str) -> None:
    assert not check("complete", text).passed


@pytest.mark.parametrize("text", ["Paris", GOOD, "- one\n- two", "| a | b |\n|---|---|\n| 1 | 2 |"])
def test_a_text_that_ends_is_complete(text: str) -> None:
    assert check("complete", text).passed


def test_an_answer_that_the_server_stopped_is_not_complete() -> None:
    assert not check(
        "complete", GOOD, scope=SCOPE.model_copy(update={"finish_reason": "length"})
    ).passed


@pytest.mark.parametrize(
    "text", [LOOP * 8, "the " * 40, "- good\n- good thing\n" + "- very good thing\n" * 9]
)
def test_saying_it_again_and_again_is_repetition(text: str) -> None:
    assert check("no_repetition", text).score < 0.3


def test_speaking_of_several_things_alike_is_not_repetition() -> None:
    text = "The Zorb weighs 3 kg. The Blib weighs 7 kg. The Zorb costs 12. The Blib costs 40."
    assert check("no_repetition", text).passed


@pytest.mark.parametrize(
    "text", ["Dear [Your Name], hello", "TODO: write", "Name: ______", "Lorem ipsum"]
)
def test_a_placeholder_is_found(text: str) -> None:
    assert not check("no_placeholder", text).passed


def test_a_link_and_a_to_do_list_are_no_placeholders() -> None:
    assert check("no_placeholder", "See [text about it](page) and my todo list [1].").passed


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        ("3-5", True),
        ("5-9", False),
        ("1-2", False),
        ("4", True),
        ("2+", True),
        ("-3", False),
        ([1, 4], True),
    ],
)
def test_words_are_counted_against_the_range(value: JsonValue, passed: bool) -> None:
    assert check("words", "one two three four", value).passed is passed


def test_too_short_a_text_gets_a_share_and_says_what_is_missing() -> None:
    verdict = check("words", "one two", "40-120")
    assert verdict.score == 0.05
    assert verdict.hint == "Write more: at least 40 words."


def test_lines_that_are_empty_do_not_count() -> None:
    assert check("lines", "a\n\n\nb", "2-2").passed


# -- matter ---------------------------------------------------------------------------------------


def test_mentions_needs_every_one_and_names_what_is_missing() -> None:
    verdict = check("mentions", "React and Vue", ["React", "{{ items }}"])
    assert verdict.score == pytest.approx(2 / 3, abs=1e-3)
    assert verdict.hint == "Also mention: Angular."


def test_mentions_looks_for_words_and_not_for_letters() -> None:
    assert not check("mentions", "A category", "cat").passed
    assert not check("mentions", "Java script and it works", ["C++"]).passed
    assert check("mentions", "I like C++, R and cats", ["C++", "R", "cat"]).passed


def test_not_mentions_and_mentions_any_are_what_they_say() -> None:
    assert not check("not_mentions", "It is unknown.", ["unknown", "cannot"]).passed
    assert check("not_mentions", "It is well known.", ["unknown", "cannot"]).passed
    assert check("mentions_any", "It is red.", ["red", "blue"]).passed
    assert not check("mentions_any", "It is green.", ["red", "blue"]).passed


def test_matches_can_not_hang() -> None:
    start = time.process_time()
    assert not check("matches", "a" * 100_000 + "!", "^(a+)+$").passed
    assert time.process_time() - start < 2
    assert check("matches", "It weighs 7 kg", r"\d+ kg").passed
    assert not check("matches", "It weighs 7 kg", "(").passed


def test_covers_names_what_is_missing_in_words_for_a_small_model() -> None:
    verdict = check("covers", "On performance it is fast, the ecosystem is large.", "dimensions")
    assert verdict.hint == "Also write about: learning curve."
    assert not verdict.passed


def test_the_template_s_own_hint_wins() -> None:
    assert check("covers", "Nothing.", "items", hint="One bullet each.").hint == "One bullet each."


@pytest.mark.parametrize(
    "text",
    [
        KEYWORDS,
        "- React\n- Vue\n- Angular\n- performance\n- learning curve\n- ecosystem",
        "## React\n## Vue\n## Angular",
        "| aspect | React | Vue | Angular |\n|---|---|---|---|",
    ],
)
def test_a_list_of_keywords_covers_nothing(text: str) -> None:
    assert check("covers", text, "items").score == 0


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "## React\n- a virtual DOM\n\n## Vue\n- compiled early\n\n## Angular\n- needs TypeScript",
        "- React: fast for apps\n- Vue: a small bundle\n- Angular: steep at first",
        "| aspect | React | Vue | Angular |\n|---|---|---|---|\n| speed | fast | faster | early |",
    ],
)
def test_sentences_headings_with_text_and_tables_cover(text: str) -> None:
    assert check("covers", text, "items").passed


def test_words_from_earlier_outputs_are_not_taken_for_keywords() -> None:
    notes: list[JsonValue] = ["virtual DOM, fast", "compiled, small bundle", "steep, complete"]
    outputs: dict[str, JsonValue] = {"notes": notes}
    scope = SCOPE.model_copy(update={"names": {**NAMES, **outputs}, "outputs": outputs})
    text = "React: virtual DOM, fast. Vue: compiled, small bundle. Angular: steep, complete."
    assert check("covers", text, "items", scope).passed


def test_one_sentence_counts_for_few_entries() -> None:
    names: dict[str, JsonValue] = {"items": [f"item{n}" for n in range(12)]}
    text = "They all are nice things: " + ", ".join(f"item{n}" for n in range(12)) + "."
    assert check("covers", text, "items", SCOPE.model_copy(update={"names": names})).score <= 4 / 12


def test_a_list_that_is_not_known_leaves_the_check_out() -> None:
    checks = [Check(kind="covers", value="steps"), Check(kind="no_refusal")]
    assert [v.check for v in run(checks, GOOD, GOOD, SCOPE)] == ["no_refusal"]


def test_grounded_in_counts_an_invented_number_heavily() -> None:
    right = check("grounded_in", "The Zorb weighs 3.5 kg and costs 1200.", ["facts"], ABOUT)
    wrong = check("grounded_in", "The Zorb weighs 99 kg and costs 1200.", ["facts"], ABOUT)
    assert right.passed
    assert wrong.score == pytest.approx(right.score / 2, abs=1e-3)
    assert "99" in wrong.hint


def test_grounded_in_does_not_take_the_numbering_of_a_list_for_numbers() -> None:
    text = "1. Zorb weighs 3.5 kg.\n2. Blib weighs 7 kg."
    assert check("grounded_in", text, ["facts"], ABOUT).passed


def test_grounded_in_steps_reads_their_outputs() -> None:
    scope = SCOPE.model_copy(update={"outputs": {"profile": {"React": ["virtual DOM", "JSX"]}}})
    assert check("grounded_in", "React has a virtual DOM and JSX.", ["profile"], scope).passed
    assert not check("grounded_in", "Elephants inhabit Berlin.", ["profile"], scope).passed


def test_grounded_in_nothing_is_left_out() -> None:
    assert run([Check(kind="grounded_in", value=["profile"])], GOOD, GOOD, SCOPE) == ()


def test_keeps_asks_for_the_numbers_and_names_of_the_facts() -> None:
    full = "The Zorb weighs 3.5 kg and costs 1200. The Blib weighs 7 kg, built 1998 in Paris."
    assert check("keeps", full, "facts", ABOUT).passed
    assert check("keeps", "The Zorb and the Blib are things.", "facts", ABOUT).score == 0


def test_keeps_an_item_asks_only_for_what_the_facts_say_of_it() -> None:
    verdict = check("keeps", "The Zorb weighs 3.5 kg.", "{{ item }}", ABOUT)
    assert verdict.score == 0.5
    assert verdict.hint == "Also write: price: 1,200."


def test_no_echo_finds_the_task_and_the_prompt_said_again() -> None:
    prompt = "Task: x\n\nWork in five steps and show only the result of the last step."
    scope = SCOPE.model_copy(update={"prompt": prompt})
    assert check("no_echo", TASK, scope=scope).score == 0
    assert check("no_echo", "Work in five steps and show only the result.", scope=scope).score == 0
    assert check("no_echo", GOOD, scope=scope).passed


def test_facts_in_the_prompt_are_not_an_echo() -> None:
    scope = ABOUT.model_copy(update={"prompt": f"Facts:\n{FACTS}\n\nTask: Describe the Blib"})
    text = "Blib weighs 7 kg. It was built in Paris in 1998."
    assert check("no_echo", text, scope=scope).passed


def test_an_answer_may_take_up_the_question() -> None:
    scope = Scope(task="What is the capital of France?")
    assert check("no_echo", "The capital of France is Paris.", scope=scope).passed


# -- scores ---------------------------------------------------------------------------------------


def test_a_good_answer_scores_well() -> None:
    assert scored(GOOD).value > 0.85


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOOP * 8,
        TASK,
        f"{TASK}. {TASK}.",
        KEYWORDS,
        KEYWORDS * 5,
        "I'm sorry, I cannot help with that.",
        "For a small team, compare React with Vue and Angular. Vue, React, Angular: compare them.",
        "[" * 2000,
    ],
)
def test_what_is_no_answer_scores_clearly_below_the_threshold(text: str) -> None:
    assert scored(text).value < 0.5


def test_restating_the_headings_of_the_facts_scores_low() -> None:
    facts = "\n\n".join(f"# {name} and its long history\nIt has {n} parts." for n, name in
                        enumerate(["Zorb", "Blib", "Wumpus"], 3))  # fmt: skip
    scope = Scope(task="Summarize the facts", facts=facts, names={"items": ["Zorb", "Blib"]})
    text = "Zorb and its long history\nBlib and its long history\nWumpus and its long history"
    assert scored(text, scope=scope).value < 0.5


@pytest.mark.parametrize(
    "padding",
    [
        f" {GOOD}",
        f" {TASK}.",
        " It is important to note that there are many factors.",
        f" {KEYWORDS}",
        " React React React React React React.",
        f"\n{LOOP * 5}",
    ],
)
def test_padding_echo_and_repetition_never_raise_a_score(padding: str) -> None:
    short = "React is fast because of its virtual DOM. Vue has an easy learning curve."
    if padding.strip() != GOOD:
        assert scored(short + padding).value <= scored(short).value
    assert scored(GOOD + padding).value <= scored(GOOD).value


def test_a_template_s_own_checks_can_not_switch_the_guards_off() -> None:
    rules = QualityRules(score=(Check(kind="mentions", value="development"),))
    template = COMPARISON.model_copy(update={"quality": rules})
    assert scored(LOOP * 8, template).value < 0.3
    assert scored("Development.", template).value < 0.3


def test_a_list_that_is_not_known_does_not_lower_a_score() -> None:
    scope = SCOPE.model_copy(update={"names": {"items": NAMES["items"]}})
    checks = [part.check for part in scored(GOOD, scope=scope).parts]
    assert "covers: dimensions" not in checks
    assert scored(GOOD, scope=scope).value > 0.85


def test_a_short_answer_is_enough_where_a_line_is_asked_for() -> None:
    step = Step(id="a", text="x", output=Output(kind="line"))
    template = Template(template="question", steps=(step,))
    assert scored("Frank Herbert", template, Scope(task="Who wrote Dune?")).value > 0.9


def test_an_answer_that_was_cut_off_is_no_good_probe() -> None:
    scope = SCOPE.model_copy(update={"finish_reason": "length"})
    assert scored(GOOD, scope=scope).value < 0.7


def test_a_score_says_what_it_is_made_of() -> None:
    parts = {part.check: part for part in scored(GOOD).parts}
    assert {"covers: items", "no_refusal", "complete", "no_repetition", "no_echo"} <= set(parts)
    value = mean([part for part in parts.values() if part.weight])
    assert scored(GOOD).value == pytest.approx(
        min(value, *(p.score for p in parts.values() if not p.weight))
    )


def test_the_mean_is_weighted_and_one_when_nothing_was_asked() -> None:
    good = Verdict(check="a", score=1, passed=True, weight=3)
    bad = Verdict(check="b", score=0, passed=False, weight=1)
    assert mean([good, bad]) == 0.75
    assert mean([]) == 1.0
    assert mean([bad.model_copy(update={"weight": 0.0})]) == 1.0


# -- what a template states itself ----------------------------------------------------------------

VERDICT: JsonValue = {"winner": "Vue", "reasons": ["small", "easy"], "note": None}
STATED = SCOPE.model_copy(
    update={
        "step": "verdict",
        "names": {**NAMES, "item": "Vue", "empty": None},
        "outputs": {
            "guess": "Vue",
            "sum": 44,
            "profile": {"Vue": "Vue is small and very easy to learn", "React": "React is old"},
            "other": {"winner": "vue.", "note": "x"},
        },
    }
)


@pytest.mark.parametrize(
    ("condition", "score"),
    [
        ("reasons | length >= 2", 1),
        ("reasons | length >= 3", 0),
        ("verdict.winner == winner", 1),
        ("answer.winner in items", 1),
        ("winner == guess", 1),
        ("note == 'x'", 0),
        ("winner + 1 > 2", 0),
        ("empty and empty.x > 2", 0),
    ],
)
def test_a_condition_sees_the_fields_the_answer_and_all_names(condition: str, score: int) -> None:
    found = check("expr", "Vue", condition, STATED, answered=VERDICT)
    assert (found.score, found.passed) == (score, score == 1)


@pytest.mark.parametrize("condition", ["nothing == 1", "empty | length > 2", "note | length < 5"])
def test_a_condition_over_what_is_not_there_gives_no_verdict(condition: str) -> None:
    assert not run([Check(kind="expr", value=condition)], "Vue", VERDICT, STATED)


def test_a_condition_that_fails_tells_the_model_or_the_template_s_hint() -> None:
    assert check("expr", "x", "n > 2", STATED, answered={"n": 1}).hint == "This must hold: n > 2"
    hinted = check("expr", "x", "n > 2", STATED, answered={"n": 1}, hint="Give more than two.")
    assert hinted.hint == "Give more than two."


def test_a_check_counts_only_where_its_when_holds() -> None:
    checks = [
        Check(kind="words", value="9+", when=condition)
        for condition in ("items | length == 3", "empty", "nothing > 3", "items + items")
    ]
    assert len(run(checks, "Too short.", "Too short.", STATED)) == 1


@pytest.mark.parametrize(
    ("text", "value", "source", "score"),
    [
        ("The Vue.", "The Vue.", "guess", 1),
        ("I would take Vue.", "I would take Vue.", "guess", 1),
        ("React", "React", "guess", 0),
        ("44", 44, "sum", 1),
        ("He was 44 years old.", "He was 44 years old.", "sum", 0),
        ("45", 45, "sum", 0),
        ("x", {"winner": "Vue", "note": "y"}, "other", 0.5),
        ("Vue is easy to learn, and small.", None, "profile", 1),
        ("Vue has 3 parts that are small and easy to learn.", None, "profile", 0),
        ("Angular takes long to learn and needs a large team.", None, "profile", 0.25),
    ],
)
def test_agreement_is_that_of_values_fields_or_words(
    text: str, value: JsonValue, source: str, score: float
) -> None:
    found = check("agrees_with", text, source, STATED, answered=value)
    assert found.score == pytest.approx(score, abs=0.2)


def test_nothing_to_agree_with_gives_no_verdict() -> None:
    assert not run([Check(kind="agrees_with", value="nothing")], "x", "x", STATED)


def test_a_judge_counts_where_one_was_asked() -> None:
    asked = STATED.model_copy(update={"judged": {"Is it short?": 0.0}})
    assert not check("judge", "x", "Is it short?", asked).passed
    assert not run([Check(kind="judge", value="Is it long?")], "x", "x", asked)


def test_a_judge_s_word_is_part_of_the_score_of_a_candidate() -> None:
    rules = QualityRules(score=(Check(kind="judge", value="Is it good?"),))
    template = COMPARISON.model_copy(update={"quality": rules})
    scores = [
        score(
            template,
            Candidate(kind="joined", text=GOOD),
            SCOPE.model_copy(update={"judged": {"Is it good?": said}}),
        ).value
        for said in (0.0, 1.0)
    ]
    assert scores[0] == 0
    assert scores[1] > 0.9


# -- every kind, any text -------------------------------------------------------------------------

VALUES: dict[str, JsonValue] = {
    "words": "3-40", "lines": "1-", "matches": "(a|b)+", "covers": "items",
    "mentions": "{{ items }}", "mentions_any": ["x", "{{ nothing }}"], "not_mentions": ["y"],
    "grounded_in": ["facts", "task"], "keeps": "facts", "expr": "items | length == 3",
    "agrees_with": "item", "judge": "Is it short?", "parses": "python",
}  # fmt: skip


def test_every_kind_has_a_measure_and_a_default_to_pass() -> None:
    assert set(AT_LEAST) == set(CHECK_KINDS)
    checks = [Check(kind=kind, value=VALUES.get(kind)) for kind in CHECK_KINDS]
    names = {**NAMES, "item": "React"}
    scope = ABOUT.model_copy(update={"names": names, "judged": {"Is it short?": 1.0}})
    assert len(run(checks, GOOD, GOOD, scope)) == len(CHECK_KINDS)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300), st.text(max_size=200))
def test_scores_stay_between_zero_and_one_whatever_the_text(text: str, facts: str) -> None:
    scope = Scope(task=TASK, facts=facts, names=NAMES, prompt=facts + text)
    checks = [Check(kind=kind, value=VALUES.get(kind)) for kind in CHECK_KINDS]
    for verdict in run(checks, text, text, scope):
        assert 0 <= verdict.score <= 1
        assert not math.isnan(verdict.score)
        verdict.model_dump_json()
    assert 0 <= scored(text, scope=scope).value <= 1


@pytest.mark.parametrize(
    "text",
    ["word " * 1_000_000, "A b c d. " * 500_000, "# a\n" * 1_000_000, " " * 4_000_000 + "x",
     "-" * 4_000_000 + "x", "[your" * 800_000],
    ids=["words", "sentences", "headings", "blanks", "dashes", "brackets"],
)  # fmt: skip
def test_megabytes_are_checked_in_seconds_and_the_verdict_says_what_was_read(text: str) -> None:
    checks = [Check(kind=kind, value=VALUES.get(kind)) for kind in CHECK_KINDS]
    start = time.process_time()
    verdicts = run(checks, text, text, SCOPE)
    assert time.process_time() - start < 6
    if text.strip("x- "):
        assert all("200,000" in verdict.detail for verdict in verdicts if verdict.detail)


# -- code -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "reads"),
    [
        ("python", "def f(x):\n    return x", True),
        ("python", "Here it is:\n```python\nx = 1\n```\nIt sets x.", True),
        ("python", "def f(x)\n    return x", False),
        ("python", "(" * 30_000 + "x", False),
        ("json", '{"a": 1}', True),
        ("json", '{"a": }', False),
        ("json", "[" * 40_000 + "x", False),
    ],
)
def test_code_is_read_without_running_it(language: str, text: str, reads: bool) -> None:
    check = Check(kind="parses", value=language)
    (verdict,) = run([check], text, text, Scope(task="x"))
    assert verdict.passed is reads


def test_texts_that_a_list_took_from_the_task_may_be_said_again() -> None:
    kept = "Bring the 12 folders to the meeting on Friday."
    task = f"Rewrite this: {kept}"
    (echoed,) = run([Check(kind="no_echo")], kept, kept, Scope(task=task))
    (known,) = run([Check(kind="no_echo")], kept, kept, Scope(task=task, names={"s": [kept]}))
    assert (echoed.passed, known.passed) == (False, True)
