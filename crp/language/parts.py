"""The small parts of the language: checks, ladders, scaffolds, few-shot.

Each function reads one node into one frozen model; None means that a problem was reported.
"""

from __future__ import annotations

from pydantic import JsonValue

from crp.language.form import LANGUAGES
from crp.language.makers import condition, listed, named, number, one_of, text, whole
from crp.language.reader import Read, Reader
from crp.language.schema import CHECK_KINDS, Check, FewShot, Scaffolds
from crp.language.source import Node
from crp.models import Rung

ALONE = ("no_refusal", "complete", "no_repetition", "no_placeholder", "no_echo")

RUNGS = (
    "retry",
    "heavier",
    "scaffold",
    "model",
    "temperature",
    "use",
    "accept_best",
    "skip",
    "stop",
)
_RUNG_WORDS = ("retry", "heavier", "accept_best", "skip", "stop")
_MOST_CHECKS = 30


# -- checks -------------------------------------------------------------------------------


def checks(reader: Reader, node: Node) -> tuple[Check, ...] | None:
    found: tuple[Check, ...] | None = _CHECKS(reader, node)
    return found


def _check(reader: Reader, node: Node) -> Check | None:
    if node.kind == "scalar":
        return _check_word(reader, node)
    words = [key for key in node.entries if key in CHECK_KINDS]
    if len(words) != 1:
        _not_one_check(reader, node, words)
        return None
    word = words[0]
    values = reader.fields(node, f'the check "{word}"', {word: _VALUES[word], **_BESIDE})
    if values is None or word not in values:
        return None
    value = values.pop(word)
    return Check(kind=word, value=None if word in ALONE else value, **values)


def _check_word(reader: Reader, node: Node) -> Check | None:
    word = node.raw
    if word in ALONE:
        return Check(kind=word)
    if word in CHECK_KINDS:
        reader.error(node, f'the check "{word}" needs a value', "F003", CHECK_KINDS[word])
    else:
        _unknown_check(reader, node, word)
    return None


def _not_one_check(reader: Reader, node: Node, words: list[str]) -> None:
    if node.kind == "map" and not words and node.entries:
        first = next((e for k, e in node.entries.items() if k not in _BESIDE), None)
        if first is None:
            reader.error(node.first_key(), "this says nothing about what to check", "F006")
        else:
            _unknown_check(reader, first.key, first.key.raw)
    else:
        reader.error(node, f"exactly one check for each entry, not {len(words)}", "F006")


def _unknown_check(reader: Reader, node: Node, word: str) -> None:
    help = reader.suggest(word, CHECK_KINDS) or f"there are: {', '.join(CHECK_KINDS)}"
    reader.error(node, f'there is no check "{word[:60]}"', "F005", help)


def _hint(reader: Reader, node: Node) -> str | None:
    hint = reader.plain(node)
    if hint and "{{" in hint:
        message = "a hint is sent to the model as it stands: nothing is filled in"
        reader.warn(node, message, "W103")
    return hint


def _alone(reader: Reader, node: Node) -> bool | None:
    """Accept `no_echo: yes`, which lets other fields stand below the word."""
    if node.empty or node.raw in ("yes", "true"):
        return True
    reader.error(node, "this check takes no value", "F002")
    return None


def _one_or_more(read: Read) -> Read:
    """Make a reader that keeps a single value as it is and several as a list."""
    several = listed(read)

    def one_or_more(reader: Reader, node: Node) -> JsonValue:
        values = several(reader, node)
        if not values:
            return None
        return list(values) if node.kind == "list" else values[0]

    return one_or_more


_TEXTS = _one_or_more(text("check"))
_SOURCES = _one_or_more(named("source"))
_VALUES: dict[str, Read] = {
    **dict.fromkeys(ALONE, _alone),
    **dict.fromkeys(("words", "lines"), Reader.range),
    **dict.fromkeys(("mentions", "mentions_any", "not_mentions"), _TEXTS),
    **dict.fromkeys(("grounded_in", "keeps"), _SOURCES),
    "matches": Reader.pattern,
    "parses": one_of(LANGUAGES),
    "covers": named("list"),
    "agrees_with": named("step"),
    "expr": condition("expr"),
    "judge": text("check"),
}
_BESIDE: dict[str, Read] = {
    "at_least": number(0, 1),
    "weight": number(0, 100),
    "when": condition("expr"),
    "hint": _hint,
    "otherwise": one_of(("retry", "warn", "stop")),
}
_CHECKS: Read = listed(_check, _MOST_CHECKS)


# -- ladders, scaffolds, few-shot ---------------------------------------------------------


def ladder(reader: Reader, node: Node) -> tuple[Rung, ...] | None:
    """Read `on_fail`: what to do after the first failed try, the second, and so on."""
    rungs: tuple[Rung, ...] | None = _LADDER(reader, node)
    if rungs is not None and len(rungs) > 10:
        reader.error(node, f"at most 10 tries, not {len(rungs)}", "F004")
        return None
    return rungs


def _rung(reader: Reader, node: Node) -> Rung | None:
    if node.kind == "scalar":
        return _rung_word(reader, node)
    values = reader.fields(node, "a rung", _RUNGS)
    if values is None or len(node.entries) != 1:
        if values is not None:
            reader.error(node.first_key(), "exactly one thing to do for each rung", "F006")
        return None
    return next((Rung(action=k, value=v) for k, v in values.items()), None)  # type: ignore[arg-type]


def _rung_word(reader: Reader, node: Node) -> Rung | None:
    if node.raw in _RUNG_WORDS:
        return Rung(action=node.raw)  # type: ignore[arg-type]
    help = reader.suggest(node.raw, RUNGS) or f"there are: {', '.join(RUNGS)}"
    if node.raw in _RUNGS:
        help = f"it needs a value: `{node.raw}: ...`"
    reader.error(node, f'there is no rung "{node.raw[:60]}"', "F005", help)
    return None


_RUNGS: dict[str, Read] = {
    "scaffold": one_of(("none", "light", "medium", "heavy")),
    "model": Reader.word,
    "temperature": number(0, 2),
    "use": Reader.template_name,
}
_LADDER: Read = listed(_rung)


def scaffolds(reader: Reader, node: Node) -> Scaffolds | None:
    values = reader.fields(node, "scaffolds", _LEVELS)
    return None if values is None else Scaffolds(**values)


_LEVELS: dict[str, Read] = dict.fromkeys(("light", "medium", "heavy"), text("help"))


def few_shot(reader: Reader, node: Node) -> FewShot | None:
    """Read a number of examples, or the long form."""
    if node.kind == "scalar":
        traces = _COUNT(reader, node)
        return None if traces is None else FewShot(traces=traces)
    values = reader.fields(node, "few_shot", _FEW_SHOT)
    return None if values is None else FewShot(**values)


_COUNT = whole(0, 20)
_FEW_SHOT: dict[str, Read] = {
    "traces": _COUNT,
    "min_quality": number(0, 1),
    "max_tokens": whole(0, 100_000),
}
