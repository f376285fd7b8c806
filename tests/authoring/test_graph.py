"""Steps drawn as layers, and as a flowchart that Mermaid reads."""

from __future__ import annotations

import re

from crp.authoring.graph import drawn, flowchart
from crp.authoring.layers import layers
from crp.language.load import load
from crp.templates import find_library

TEXT = """
template: t
extract: {items: {ask: Which?, otherwise: [a]}}
steps:
  end: {for_each: items, prompt: "{{ item }}", title: 'The "first" <one>'}
  check: {for_each: items, prompt: "{{ end[item] }}", fresh: true}
  alone: {prompt: x, needs: [check]}
  all:
    prompt: "{{ end }} {% if alone %}{{ alone }}{% endif %}"
    samples: 3
    when: items | length > 1
"""


def test_a_step_stands_in_the_layer_after_what_it_waits_for() -> None:
    template = load(TEXT, "t")
    names = [[step.id for step in layer] for layer in layers(template)]
    assert names == [["end"], ["check"], ["alone"], ["all"]]


def test_the_drawing_says_fan_outs_and_what_is_read() -> None:
    text = drawn(load(TEXT, "t"))
    assert "end ×items  prompt -> text" in text
    assert "  <- end (each item)" in text
    assert "  <- end (all items)" in text
    assert "  <- check (order only)" in text
    assert "  <- alone (may be missing)" in text
    assert "3 samples, vote" in text
    assert "when items | length > 1" in text


def test_the_flowchart_names_every_node_that_an_arrow_uses() -> None:
    for template in [load(TEXT, "t"), *find_library().templates.values()]:
        lines = flowchart(template).splitlines()
        assert lines[0] == "flowchart TD"
        nodes = {m.group(1) for line in lines[1:] if (m := re.match(r"  (\w+)[\[(]", line))}
        arrows = [re.fullmatch(r"  (\w+) (?:-->|==>|-\.->)(?:\|[\w ]+\|)? (\w+)", x) for x in lines]
        used = {name for arrow in arrows if arrow for name in arrow.groups()}
        assert used <= nodes
        assert len(nodes) + sum(a is not None for a in arrows) == len(lines) - 1


def test_signs_of_mermaid_in_a_title_are_entities() -> None:
    assert "The #quot;first#quot; #lt;one#gt;" in flowchart(load(TEXT, "t"))
