"""Checks of an answer's form: refusal, cut off, repetition, blanks, length.

Each takes an answer and the check's value and says how well it does, 0 to 1. Pure and linear.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable

from pydantic import JsonValue

from crp.language.scalars import code
from crp.language.scope import Answer, Finding
from crp.language.words import clean, runs, sentences, shorten, stems, word_set, words

_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b|\bi(?:'m| am) (?:so )?"
    r"(?:sorry|afraid|unable|not able)\b|\bi apologi[sz]e\b|\bi (?:can't|cannot|can not|could not|"
    r"couldn't|won't|will not|am not allowed to|do not have|don't have) (?!help but)(?:[a-z]+ )?"
    r"(?:help|assist|answer|provide|give|do|comply|fulfil|write|create|access|discuss|complete|"
    r"enough|information|the ability|respond|generate|know)|\bi don't know\b|\bi do not know\b"
)
_PLACEHOLDER = re.compile(
    r"\[(?i:your|insert|add|enter|name|date|company|topic|item|text|fill|placeholder|x{2,})"
    r"[^\]\n]{0,60}\](?!\()|\bTODO\b|\bTBD\b|(?i:\blorem ipsum\b)"
    r"|<(?i:your|insert|text|name)[^<>\n]{0,40}>|_{5,}|\bXXX+\b|\{\{"
)
_OPEN_ENDS = word_set(
    "a an and or but the of to in on at for with by from as is are was were that which because "
    "than its their your his her my our if when while not be been has have"
)
_FINAL = tuple(".!?…。！？:;\"'”’)]}>*_`|")


MOST_CODE = 50_000
"""Characters of code that are read."""
_PARSERS: dict[str, Callable[[str], object]] = {"python": ast.parse, "json": json.loads}
LANGUAGES = tuple(_PARSERS)


def no_refusal(answer: Answer, value: JsonValue) -> Finding:
    start = answer.text[:300].replace("’", "'").casefold()
    refused = _REFUSAL.search(start)
    if not refused:
        return Finding(1.0)
    # A long text behind an apology is still an answer, though not a clean one.
    score = 0.0 if len(answer.words) < 60 else 0.5
    return Finding(score, f"says {refused.group()!r}", "Answer the question. Do not apologize.")


def complete(answer: Answer, value: JsonValue) -> Finding:
    hint = "Finish the last sentence. Write less."
    if answer.scope.finish_reason == "length":
        return Finding(0.5, "the model was stopped at its limit", hint)
    if answer.text.count("```") % 2:
        return Finding(0.5, "a block of code is open", "Close the block of code with ```.")
    last = answer.end.rsplit("\n", 1)[-1].strip()
    found = words(last)
    open_end = last.endswith((",", "(", "[", "{", " -", " –"))
    if open_end or (found and found[-1] in _OPEN_ENDS and not last.endswith(_FINAL)):
        return Finding(0.5, f"ends in {shorten(last[-40:], 40)!r}", hint)
    length = len(words((sentences(last) or [""])[-1]))
    if length >= 30 and not last.endswith(_FINAL) and "|" not in last:
        return Finding(0.7, "the last sentence has no end", hint)
    return Finding(1.0)


def no_repetition(answer: Answer, value: JsonValue) -> Finding:
    """Share of the words that are not said again: in equal sentences, or in equal runs of four."""
    keys = [" ".join(stems(sentence)) for sentence in answer.sentences]
    sizes = [len(key.split()) for key in keys]
    counted = Counter(key for key, size in zip(keys, sizes, strict=True) if size >= 3)
    again = sum(len(key.split()) * (times - 1) for key, times in counted.items())
    counts = Counter(runs(answer.stems, 4))
    total = sum(counts.values())
    repeated = (total - len(counts)) / total if total >= 8 else 0.0
    # Prose about several things repeats some runs (`is known for its`); more is a loop.
    score = 1 - max(again / max(sum(sizes), 1), min(1.0, max(0.0, repeated - 0.1) / 0.6))
    often = shorten(max(counted, key=lambda key: counted[key]), 60) if again else "the same words"
    detail = "" if score == 1 else f"{again or total - len(counts)} words said again: {often}"
    return Finding(score, detail, "Say each thing only once. Do not repeat.")


def no_placeholder(answer: Answer, value: JsonValue) -> Finding:
    found = _PLACEHOLDER.search(answer.text)
    hint = "Write real words where there are brackets or blanks to fill in."
    return Finding(0.0, f"has {shorten(found.group(), 40)!r}", hint) if found else Finding(1.0)


def parses(answer: Answer, value: JsonValue) -> Finding | None:
    """Read the answer as code without running it; a small mistake is as bad as a big one."""
    reader = _PARSERS.get(str(value))
    text = code(answer.text)
    if reader is None:
        return None
    if len(text) > MOST_CODE:
        return Finding(0.0, f"more than {MOST_CODE:,} characters of code", "Write less code.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        detail = shorten(clean(str(error)), 80)
        return Finding(0.0, f"not {value}: {detail}", f"Write {value} without mistakes: {detail}.")
    return Finding(1.0)


def word_count(answer: Answer, value: JsonValue) -> Finding | None:
    return _counted(len(answer.words), value, "word")


def line_count(answer: Answer, value: JsonValue) -> Finding | None:
    count = sum(1 for line in answer.text.split("\n") if line.strip())
    return _counted(count, value, "line")


def span(value: JsonValue) -> tuple[float, float] | None:
    """Read `40-120`, `40-`, `40+`, `-120`, `100` (exactly) or `[40, 120]`."""
    if isinstance(value, list) and len(value) == 2:
        value = f"{value[0]}-{value[1]}"
    match = re.fullmatch(r"\s*(\d{1,9})?\s*(-|–|to|\+)?\s*(\d{1,9})?\s*", str(value))
    if not match or not (match[1] or match[3]):
        return None
    low = float(match[1] or 0)
    high = float(match[3]) if match[3] else (float("inf") if match[2] else low)
    return (low, high) if low <= high else (high, low)


def _counted(count: int, value: JsonValue, unit: str) -> Finding | None:
    ends = span(value)
    if ends is None:
        return None
    low, high = ends
    detail = f"{count} {unit}s"
    if count < low:
        return Finding(count / low, detail, f"Write more: at least {low:g} {unit}s.")
    if count > high:
        return Finding(high / count, detail, f"Write less: at most {high:g} {unit}s.")
    return Finding(1.0, detail)
