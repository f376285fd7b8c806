"""Texts past Temporal's limits: they go by reference, and nothing is paid for twice."""

from __future__ import annotations

import json

import pytest

from tests.faults.conftest import Engine
from tests.support.model_server import prompt_of

pytestmark = pytest.mark.slow


def test_a_document_of_fifty_megabytes_is_searched_and_the_right_passage_reaches_the_model(
    engine: Engine,
) -> None:
    speech = " and of nothing else" * 20
    filler = "\n\n".join(f"Passage {n} speaks of weather{speech}." for n in range(60_000))
    facts = engine.work / "facts.md"
    facts.write_text(f"{filler}\n\nThe zanzibar lamp costs 77 euro.\n\n{filler}")
    assert facts.stat().st_size > 50_000_000
    done = engine.run(
        *("run", "What does the zanzibar lamp cost?", "-t", "direct-question", "--json"),
        *("--context-file", str(facts), "--base-url", engine.server.base_url),
        *("--model", "behave/ok", "--capability", "1"),
        within=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    prompts = [prompt_of(body) for body in engine.server.requests]
    ours = [p for p in prompts if "zanzibar" in p]
    assert ours
    assert all("77 euro" in prompt for prompt in ours)
    assert all(len(prompt) < 60_000 for prompt in ours)
    histories = sum(file.stat().st_size for file in engine.home.glob("temporal.db*"))
    assert 0 < histories < 20_000_000, "the facts go by reference"


def test_an_answer_of_three_megabytes_is_paid_for_once(engine: Engine) -> None:
    task = "What is the longest answer?"
    done = engine.run(
        *("run", task, "-t", "generic-analysis", "--orc", "off", "--json"),
        *("--base-url", engine.server.base_url, "--model", "behave/big:3000000"),
        within=120,
    )
    result = json.loads(done.stdout)
    assert result["status"] == "completed", result["error"]
    assert len(result["answer"]) >= 2_900_000
    asked = [p for p in map(prompt_of, engine.server.requests) if task in p]
    assert len(asked) == 1
