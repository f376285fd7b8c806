"""Canonical order and spacing: comments survive, the meaning does not change."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.authoring.formatting import formatted, said
from crp.authoring.migration import MIGRATIONS, NEWEST, format_of, migrated
from crp.errors import TemplateError
from crp.language.load import load
from crp.language.source import read
from crp.templates import find_library

MESSY = """\
# yaml-language-server: $schema=./template.schema.json


# who wrote this

template: mine   # its name
steps:
  # the first
  a:
    output: line
    # why it is short
    prompt: |
      x
      # sent to the model


  b: "{{ a }}"
# how it is called
title: T


match: [x,
  y]
"""
TIDY = """\
# yaml-language-server: $schema=./template.schema.json

# who wrote this

template: mine   # its name
# how it is called
title: T

match: [x,
  y]

steps:
  # the first
  a:
    # why it is short
    prompt: |
      x
      # sent to the model
    output: line

  b: "{{ a }}"
"""


def test_keys_move_with_the_comments_above_them() -> None:
    assert formatted(MESSY) == TIDY


def test_what_is_tidy_stays_as_it_is() -> None:
    assert formatted(TIDY) == TIDY


@pytest.mark.parametrize(
    "text",
    [
        "template: t\nsteps: {b: '{{ a }}', a: x}",
        "{template: t, steps: {a: x}}",
        "---\ntitle: x\ntemplate: t\nsteps: {a: x}\n",
        "template: t\nsteps:\n  a:\n    output: line\n    prompt: |+\n      x\n\n\n\n",
        "template: t\nsteps:\n  a:\n    output: line\n    prompt: |\n      x   \n      y\n",
        "title: a\n  b\ntemplate: t\r\nsteps:\r\n  a: x\r\n",
        'steps:\n  a:\n    output: line\n    prompt: "x\n\n      y"\ntemplate: t',
    ],
)
def test_odd_ways_to_write_yaml_mean_the_same_afterwards(text: str) -> None:
    made = formatted(text)
    assert said(read(made, "t")) == said(read(text, "t"))
    assert load(made, "t") == load(text, "t")
    assert formatted(made) == made


def test_every_comment_of_the_box_survives_and_every_template_means_the_same() -> None:
    shelf = find_library()
    for source in shelf.library.templates:
        made = formatted(source.text)
        assert sorted(filter(None, map(str.strip, made.splitlines()))) == sorted(
            filter(None, map(str.strip, source.text.splitlines()))
        )
        snippets = shelf.library.snippets
        again = load(made, "t", base=source.base, snippets=snippets)
        assert again == shelf.templates[source.name]


KEYS = st.sampled_from(["template", "title", "steps", "match", "limits", "note", "# c", "", "zz"])
LINES = st.lists(
    st.tuples(KEYS, st.sampled_from(["x", "|\n  a\n  # b\n", "\n  b: 1\n  a: 2", "''"]))
)


@settings(max_examples=200)
@given(LINES)
def test_whatever_is_read_is_read_again_the_same(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{k}: {v}" if k and k[0] != "#" else k for k, v in pairs)
    try:
        before = said(read(text, "t"))
    except TemplateError:
        return
    assert said(read(formatted(text), "t")) == before


# -- migration ------------------------------------------------------------------------------------


def test_a_file_without_a_format_gets_one_and_keeps_its_comments() -> None:
    made = migrated(MESSY)
    assert format_of(made) == NEWEST == 1
    assert "# why it is short" in made
    assert "# sent to the model" in made
    assert load(made, "t") == load(MESSY, "t")


def test_a_file_of_this_format_is_left_alone() -> None:
    text = "format: 1\ntemplate:   t\nsteps: {a: x}"
    assert migrated(text) == text


def test_there_is_a_way_from_every_older_format() -> None:
    assert set(range(NEWEST)) == set(MIGRATIONS)
