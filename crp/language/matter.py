"""Checks of what an answer says: what it mentions, covers, keeps, and where it took it from.

Each takes an answer and the check's value and says how well it does, 0 to 1; None leaves the
check out, because what it would measure against is not known. Pure and linear.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import re2
from pydantic import JsonValue

from crp.language.echo import is_echo
from crp.language.entries import is_rule
from crp.language.facts import about, passages
from crp.language.scope import Answer, Finding, listed
from crp.language.words import (
    clean,
    content,
    names,
    numbers,
    sentences,
    shorten,
    stem,
    stems,
    word_set,
    words,
)

MOST_ENTRIES = 60
"""Entries of a list that are looked for."""
LONGEST_NAME = 40
"""Characters; a longer entry of a list is a text and not the name of something."""
CREDIT = 4
"""Entries that one sentence may count for at most."""

_JOINING = word_set("and or vs versus also plus the a an as well with of to in for")
_ASKING = word_set(
    "compare comparison describe explain write list answer question article essay summarize "
    "summary difference different discuss tell give name find please short long text report word "
    "sentence paragraph bullet point following based information detail identify provide create "
    "better best between about pros cons example using use make thing things request task"
)
_HEAD = re.compile(r"^\s*(?:#{1,6}\s+\S.*|\*\*[^*]+\*\*:?|[^|]{1,80}:)\s*$")


class _Entry(NamedTuple):
    text: str
    stems: tuple[str, ...]
    literal: re.Pattern[str] | None
    """For entries that words alone do not tell apart: C++, IT, R."""

    def stands_in(self, sentence: str, found: set[str]) -> bool:
        if self.literal:
            return bool(self.literal.search(sentence))
        need = len(self.stems) if len(self.stems) <= 3 else math.ceil(0.6 * len(self.stems))
        return bool(self.stems) and sum(word in found for word in self.stems) >= need


def _entry(text: str) -> _Entry:
    text = " ".join(clean(text)[:300].split()).strip(" .,;:*_")
    found = tuple(dict.fromkeys(content(stems(text)))) or tuple(stems(text))
    short = len(text) <= 3 and text[:1].isupper()
    odd = short or bool(re.search(r"[^\w\s.,;:'’()/\"&-]", text))
    as_written = short and (text.isupper() or len(text) < 3)  # IT and Go are also words
    exact = re.escape(text) if as_written else f"(?i:{re.escape(text)})"
    literal = re.compile(rf"(?<!\w){exact}(?![\w+#])") if odd and text else None
    return _Entry(text, found, literal)


# -- mentions -----------------------------------------------------------------------------------


def mentions(answer: Answer, value: JsonValue) -> Finding | None:
    wanted = answer.scope.entries(value)
    if wanted is None:
        return None
    missing = [text for text in wanted if not _mentioned(text, answer)]
    return _share(missing, wanted, "Also mention: ")


def mentions_any(answer: Answer, value: JsonValue) -> Finding | None:
    wanted = answer.scope.entries(value)
    if wanted is None:
        return None
    if any(_mentioned(text, answer) for text in wanted):
        return Finding(1.0)
    return Finding(0.0, "mentions none of them", f"Mention one of these: {_few(wanted)}.")


def not_mentions(answer: Answer, value: JsonValue) -> Finding | None:
    unwanted = answer.scope.entries(value)
    if unwanted is None:
        return None
    found = [text for text in unwanted if _mentioned(text, answer)]
    if not found:
        return Finding(1.0)
    score = 1 - len(found) / len(unwanted)
    return Finding(score, f"mentions {_few(found)}", f"Do not write: {_few(found)}.")


def _mentioned(text: str, answer: Answer) -> bool:
    entry = _entry(text)
    if entry.literal:
        return bool(entry.literal.search(answer.text))
    phrase = " ".join(stems(text))
    return bool(phrase) and f" {phrase} " in f" {' '.join(answer.stems)} "


def matches(answer: Answer, value: JsonValue) -> Finding | None:
    """Look for regular expressions (RE2: linear whatever the pattern)."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20  # as `reader.py` allows
    patterns = value if isinstance(value, list) else [value]
    missing = []
    for pattern in map(str, patterns):
        try:
            found = re2.compile(pattern, options).search(answer.text)
        except re2.error:
            return Finding(0.0, f"{shorten(pattern, 60)!r} is not a regular expression")
        missing += [] if found else [pattern]
    score = 1 - len(missing) / max(len(patterns), 1)
    detail = f"no match for {_few(missing)}" if missing else ""
    return Finding(score, detail, "Write the answer in the form that was asked for.")


# -- covers -------------------------------------------------------------------------------------


class _Unit(NamedTuple):
    """A sentence; or a heading, or the head of a table, with what stands under it."""

    text: str
    under: str = ""


def covers(answer: Answer, value: JsonValue) -> Finding | None:
    """Share of the entries of a list that the answer says something about.

    An entry counts where it stands in a sentence with other words than the entries of any known
    list, or as a heading with text under it; one sentence counts for one entry per two other
    words, `CREDIT` at most, and not at all when it says the question again. So a list of keywords
    covers nothing.
    """
    wanted = _wanted(answer, value)
    if not wanted:
        return None
    entries = [_entry(text) for text in wanted[:MOST_ENTRIES]]
    own = {word for text in (*wanted, *_listed_names(answer)) for word in stems(text)}
    covered: set[str] = set()
    for unit in _units(answer.text):
        if len(covered) == len(entries):
            break
        if unit.under or not is_echo(unit.text, answer):
            covered |= _credited(unit, entries, own, covered)
    missing = [entry.text for entry in entries if entry.text not in covered]
    return _share(missing, [entry.text for entry in entries], "Also write about: ")


def _credited(unit: _Unit, entries: Sequence[_Entry], own: set[str], covered: set[str]) -> set[str]:
    found = set(stems(unit.text))
    here = [e for e in entries if e.text not in covered and e.stands_in(unit.text, found)]
    if not here:
        return set()
    others = _others(unit.under or unit.text, own)
    if unit.under:
        return {e.text for e in here[: others if "|" in unit.text else others // 2]}
    if ":" in unit.text and others:
        others += 1  # `learning curve: easy` says something
    return {e.text for e in here[: min(others // 2, CREDIT)]}


def _listed_names(answer: Answer) -> Iterable[str]:
    """Give the entries of all lists of names; outputs and passages are material, not names."""
    scope = answer.scope
    for name, value in scope.names.items():
        if isinstance(value, list) and name not in scope.outputs:
            found = listed(value[:MOST_ENTRIES]) or ()
            yield from (text for text in found if len(text) <= LONGEST_NAME)


def _others(text: str, own: set[str]) -> int:
    found = [word for word in stems(text[:5000]) if word not in own and word not in _JOINING]
    return len(found) + sum(word[:1].isdigit() for word in found)


def _units(text: str) -> Iterable[_Unit]:
    lines = [line for line in text.split("\n") if line.strip()]
    heads = [
        bool(_HEAD.match(line[:300]))
        or ("|" in line and position + 1 < len(lines) and is_rule(lines[position + 1]))
        for position, line in enumerate(lines)
    ]
    under: list[str] = []
    size = 0
    for line, is_head in zip(reversed(lines), reversed(heads), strict=True):
        if is_head:
            yield _Unit(line, "\n".join(reversed(under)) or " ")
            under, size = [], 0
        else:
            if size < 5000:
                under.append(line)
                size += len(line)
            yield from (_Unit(sentence) for sentence in sentences(line))


def _wanted(answer: Answer, value: JsonValue) -> tuple[str, ...] | None:
    scope = answer.scope
    if isinstance(value, list):
        known = [scope.value(str(name)) for name in value]
        if any(entry is not None for entry in known):
            return tuple(text for entry in known if entry for text in listed(entry) or ())
        return scope.entries(value)
    if isinstance(value, str) and "{{" not in value:
        found = scope.value(value)
        if isinstance(found, str) and value in ("task", "facts", "context"):
            return _key_terms(found)
        return listed(found)
    return scope.entries(value)


def _key_terms(text: str) -> tuple[str, ...]:
    """What a text is about: its names and longer words, without the words of asking."""
    found = [*names(text), *(word for word in words(text) if len(word) > 3)]
    telling = [w for w in found if stem(w.casefold()) not in _ASKING and w in content([w])]
    return tuple({stem(word.casefold()): word for word in telling})[:12]


# -- grounded_in and keeps ----------------------------------------------------------------------


def grounded_in(answer: Answer, value: JsonValue) -> Finding | None:
    """Share of the names and content words that stand in the sources, or in the task.

    A name counts three times, and every number that is in no source halves the score.
    """
    sources = [answer.scope.source(name) for name in _as_names(value)]
    if not any(sources):
        return None
    basis = "\n".join([*sources, clean(answer.scope.task)])
    known = set(stems(basis))
    invented = sorted(set(numbers(answer.text)) - set(numbers(basis)))
    own_names = {stem(name.casefold()) for name in names(answer.text)}
    weights = {w: 3 if w in own_names else 1 for w in content(answer.stems) if not w.isdigit()}
    total = sum(weights.values())
    score = sum(n for w, n in weights.items() if w in known) / total if total else 1.0
    strange = [w for w in weights if w not in known and (w in own_names or len(w) > 6)]
    wrong = [*invented, *(strange or [w for w in weights if w not in known])]
    hint = f"Use only the facts. Leave out: {_few(wrong, 4)}." if wrong else "Use only the facts."
    detail = f"not in the sources: {_few(wrong, 8)}" if wrong else ""
    return Finding(score * 0.5 ** min(len(invented), 10), detail, hint)


def keeps(answer: Answer, value: JsonValue) -> Finding | None:
    """Share of the sources' numbers and names that the answer keeps.

    With a text such as `{{ item }}` the source is what the facts say about it.
    """
    source = _kept_source(answer, value)
    places = {**_placed(source, numbers), **_placed(source, names)}
    if not places:
        return None
    kept = set(numbers(answer.text)) | set(answer.stems) | set(answer.words)
    missing = [text for text in places if text not in kept and stem(text.casefold()) not in kept]
    hints = tuple(dict.fromkeys(places[text] for text in missing))
    finding = _share(missing, tuple(places), "")
    return finding._replace(hint=f"Also write: {_few(hints, 5, '; ')}." if missing else "")


def _kept_source(answer: Answer, value: JsonValue) -> str:
    if isinstance(value, str) and "{{" in value:
        queries = answer.scope.entries(value) or ()
        return "\n".join(_about(clean(answer.scope.facts), query) for query in queries)
    return "\n".join(answer.scope.source(name) for name in _as_names(value))


def _about(facts: str, query: str) -> str:
    wanted = set(content(stems(query)))
    parts = []
    for passage in about(passages(facts), query):
        # A heading speaks for all that stands under it; a paragraph may be about several things.
        named = wanted <= set(stems(passage.heading)) and wanted
        inside = [s for s in sentences(passage.text) if wanted <= set(stems(s))]
        parts += [passage.text] if named or not inside else inside
    return "\n".join(parts)


def _placed(source: str, find: object) -> dict[str, str]:
    """Map what must be kept to the few words around it."""
    places: dict[str, str] = {}
    for sentence in sentences(source[:200_000]):
        for text in numbers(sentence) if find is numbers else names(sentence):
            places.setdefault(text, shorten(sentence.strip("-*•# "), 60))
    return places


def _as_names(value: JsonValue) -> list[str]:
    return [str(name) for name in (value if isinstance(value, list) else [value])]


def _share(missing: Sequence[str], wanted: Sequence[str], hint: str) -> Finding:
    found = len(wanted) - len(missing)
    detail = f"{found} of {len(wanted)}" + (f", missing: {_few(missing, 8)}" if missing else "")
    return Finding(found / len(wanted), detail, f"{hint}{_few(missing)}." if missing else "")


def _few(texts: Sequence[str], most: int = 6, between: str = ", ") -> str:
    return between.join(shorten(text, 60) for text in texts[:most])
