"""The long form of a template loads to the same template again."""

from __future__ import annotations

import pytest

from crp.authoring.expanding import expanded, written
from crp.language.load import load
from crp.templates import Shelf, find_library

WHOLE = r"""
format: 1
template: whole
title: "Everything: at once"
version: 1.10
tags: [a, "yes"]
match: {keywords: [x], patterns: ['\bq\d+'], priority: -3, not_keywords: ["1:30"]}
complexity: {base: 2, add: [{when: items | length > 3, by: 1}]}
inputs:
  audience: {help: Who reads, default: a reader}
  count: {type: number, default: 2.5}
  papers: {type: list of text, default: []}
extract:
  items:
    from: [task, context]
    ask: Which of {{ audience }}?
    min: 2
    otherwise: use direct-question
    examples: [{task: Compare a and b, gives: [a, b]}]
  sides: {from: none, otherwise: [left, right]}
steps:
  facts_of: {pick: {from: facts, about: "{{ items }}", top: 2}}
  profile:
    for_each: items
    as: thing
    when: complexity >= 1
    prompt: "  {{ thing }} for {{ audience }}, {{ count }}, {{ papers }}\n\n{{ facts_of }} "
    output: bullets 3
    on_fail: [retry, scaffold: heavy, model: larger, temperature: 0.7, use: direct-question, skip]
    checks: [no_refusal, {no_echo: yes, weight: 2}, {words: 4-900, when: audience, otherwise: warn}]
  sum: {calculate: "1 + {{ sides | length }}"}
  verdict:
    prompt: "{{ profile }} {{ sum }} {{ sides }}"
    output:
      fields:
        winner: one of {{ items }}
        sure: number 0-1?
        how: one of a | b
        why: list of text?
    samples: 3
    vote: winner
    temperature: 0.5
    repeat:
      until: critique.ok == "yes"
      max: 1
      critique: {prompt: "Is {{ verdict.winner }} right?", output: {fields: {ok: yes_no}}}
  other:
    use: {template: direct-question, task: "Ask {{ verdict.winner }}", inputs: {a: "{{ task }}"}}
  kind: {prompt: "{{ other }}", output: {choice: [yes, no]}, few_shot: 0, scaffold: light}
  rows: {prompt: "{{ kind }}", output: {table: [aspect, "{{ items }}"]}}
synthesize: {prompt: "{{ rows }}", output: markdown, max_tokens: 900}
probe: no
scaffolds: {light: Think.}
quality: {store_above: 0.5, score: [{covers: items, at_least: 0.5}]}
few_shot: {traces: 2, min_quality: 0.8}
limits: {calls: 900, items: 4, tokens: 100000}
"""


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return find_library()


def test_every_field_comes_back() -> None:
    template = load(WHOLE, "whole")
    assert load(written(expanded(template)), "whole") == template


def test_every_template_of_the_box_comes_back(shelf: Shelf) -> None:
    for template in shelf.templates.values():
        text = written(expanded(template))
        plain = template.model_copy(update={"extends": ""})
        assert load(text, template.template, snippets=shelf.library.snippets) == plain


def test_what_is_said_by_default_is_not_written() -> None:
    long = expanded(load("template: t\nsteps: {a: Do it}\n", "t"))
    assert list(long) == ["format", "template", "complexity", "steps", "limits"]
    assert long["steps"]["a"] == {"title": "A", "prompt": "Do it", "output": "text"}


def test_texts_of_several_lines_are_blocks_and_nothing_is_an_alias() -> None:
    text = "template: t\nsteps: {a: 'x\n\n  y', b: {prompt: z, checks: [words: 1]}}"
    long = expanded(load(text, "t"))
    twice = {**long, "again": long["steps"]}
    assert "&" not in written(twice)
    assert "prompt: |-\n" in written(long)
