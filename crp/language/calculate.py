"""Exact arithmetic on what people and small models write as an expression.

A model sets a sum up far better than it works it out (shared/bench.md), so it is asked for the
expression only. Integers, decimals, fractions, percents, thousands separators, currency signs and
units are read; words around an expression are taken off. Pure, and bounded in length, digits and
size: everything that can not be worked out is an `Unworkable` with one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from crp.language.arithmetic import FUNCTIONS, Hopeless, Parser, Token, Unworkable, number, shown
from crp.language.words import clean, plain_number, shorten, word_set

__all__ = ["Unworkable", "number", "shown", "work_out"]

MOST_LINES = 200
"""Only the last lines are looked at."""
MOST_CHARS = 2_000
"""Characters of a line that may be an expression."""
MOST_TOKENS = 400
MOST_DIGITS = 40
"""Digits of one number that is written out, and of a result."""
MOST_UNIT_WORDS = 4
"""`60 miles per hour on foot`: more words behind a number are prose."""


def work_out(expression: str) -> Fraction:
    """Give the value of the last line that holds an expression, exactly.

    `total = 3 * 4` and `3 * 4 = 12` both mean 3 * 4: what a model says comes out is not looked at
    where it can be worked out. Raises Unworkable.
    """
    lines = [_bare(line) for line in clean(expression)[-MOST_LINES * MOST_CHARS :].split("\n")]
    lines = [line for line in lines if line][-MOST_LINES:]
    several, problem = len(lines) > 1, ""
    for must_count in (True, False):
        for line in reversed(lines):
            try:
                return _limited(_line(_BULLET.sub("", line) if several else line, must_count))
            except Hopeless:
                raise
            except Unworkable as error:
                problem = problem or str(error)
    raise Unworkable(problem or "there is no expression to work out")


def _limited(value: Fraction) -> Fraction:
    if abs(value) >= 10**MOST_DIGITS:
        raise Hopeless("the result is too large")
    return value


# -- the line -----------------------------------------------------------------------------------

_LATEX = (
    (re.compile(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
    (re.compile(r"\\text\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[()\[\]]|\\(?:left|right)\b|\\(?=[%$])"), ""),
)
_NUMBERED = re.compile(r"(?i)^(?:step\s+)?\d{1,2}[.)]\s+")
_BULLET = re.compile(r"^[-*•]\s+")
_SIDES = re.compile(r"[=≈≃≅]+|\bequals\b")
_LINK = re.compile(r"(?i)^[^\d(]*\b(?:is|are|be|costs?|gives?|makes?|get|answer|result|total)\s+")


def _bare(line: str) -> str:
    """Take off what marks a line up."""
    for pattern, plain in _LATEX:
        line = pattern.sub(plain, line) if "\\" in line else line
    line = line.strip().strip("`*_#>").strip().rstrip(".;,!?").strip("`*_ ")
    return _NUMBERED.sub("", line)


def _line(line: str, must_count: bool) -> Fraction:
    """Work out the side of a line that counts something; else the number that it ends in."""
    if len(line) > MOST_CHARS:
        raise Unworkable(f"the expression has more than {MOST_CHARS:,} characters")
    sides = [side for side in _SIDES.split(_unlabelled(line)) if side.strip()]
    value: Fraction | None = None
    problem = f"{shorten(line, 60)!r} is not an expression"
    for side in sides if must_count else reversed(sides):
        try:
            tokens = _expression(side) if must_count else _single(side)
        except Unworkable as error:
            problem = str(error)
            continue
        if value is None or _goes_on(tokens, value):
            value = Parser(tokens).value()
    if value is None:
        raise Unworkable(problem)
    return value


def _unlabelled(line: str) -> str:
    label, colon, rest = line.partition(":")
    rest = rest.lstrip("*_`")
    is_label = colon and rest[:1] in ("", " ", "\t") and any(map(str.isalpha, label))
    return rest if is_label and "=" not in label else line


def _goes_on(tokens: Sequence[Token], value: Fraction) -> bool:
    """`3 * 4 = 12 + 5 = 17` goes on with what came out; `(1 + 2) * 4 = 3 * 4` says it again."""
    return tokens[0].value == value


# -- tokens -------------------------------------------------------------------------------------


_LETTER = r"[^\W\d_½¼¾⅓⅔⅛²³]"
_DIGITS_IN_CALL = r"\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(
    r"\s*(?:(?P<mixed>\d{1,9}\s+\d{1,6}/\d{1,6}(?![\d.]))"
    r"|(?P<number>\d+(?:[.,]\d+)*|\.\d+)"
    r"|(?P<part>[½¼¾⅓⅔⅛²³])"
    rf"|(?P<word>{_LETTER}+(?:[-'’/]{_LETTER}+|\^[23]\b)*[²³]?\.?)"
    r"|(?P<mark>\*\*|[-+*/^%(),×·⋅∙✕÷−–—°\[\]{}$€£¥₹¢]))"
)
_OPERATORS = {
    **dict.fromkeys("*×·⋅∙✕", "*"),
    **dict.fromkeys("/÷", "/"),
    **dict.fromkeys("-−–—", "-"),
    **dict.fromkeys(("^", "**"), "^"),
    **dict.fromkeys("([{", "("),
    **dict.fromkeys(")]}", ")"),
    **{mark: mark for mark in "+%,"},
}
_SPOKEN = {
    **dict.fromkeys(("x", "times", "of", "multiplied by"), "*"),
    **dict.fromkeys(("divided by", "over"), "/"),
    **{"plus": "+", "minus": "-", "percent": "%", "pct": "%"},
}
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_PARTS = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8)}
_MULTIPLES = word_set("half twice double triple thrice quarter third dozen")
"""Words that change the number behind them: leaving them out would be another sum."""
_COUNTING = frozenset("+-*/^")
_IGNORED = "°$€£¥₹¢"


def _single(side: str) -> list[Token]:
    """Read a side that is a number alone, such as `12 apples`."""
    tokens = _without_units(_tokens(_LINK.sub("", side.strip(), count=1)))
    if [t.kind for t in tokens if t.kind not in "-%"] != ["number"]:
        raise Unworkable(f"{shorten(side, 60)!r} is not an expression")
    return tokens


def _expression(side: str) -> list[Token]:
    """Read a side that counts something: words in front of it and behind it are left out."""
    parts = [part for part in _between_words(_tokens(side)) if _counts(part)]
    if len(parts) != 1:
        what = "holds several expressions" if parts else "is not an expression"
        raise Unworkable(f"{shorten(side, 60)!r} {what}")
    return parts[0]


def _counts(part: Sequence[Token]) -> bool:
    numbers = sum(token.kind == "number" for token in part)
    does = any(token.kind in _COUNTING or token.kind == "function" for token in part)
    return does and (numbers > 1 or any(token.kind == "function" for token in part))


def _tokens(text: str) -> list[Token]:
    text = re.sub(r"(?i)\b(multiplied|divided)\s+by\b", lambda m: f"{m[1].lower()} by", text)
    found: list[Token] = []
    position, calls = 0, re.search(r"(?i)\b(?:" + "|".join(FUNCTIONS) + r")\s*\(", text)
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unworkable(f"{text[position:].split()[0][:20]!r} is not part of an expression")
        if calls and match["number"] and match.start() >= calls.start():
            # Inside min(3,4) a comma stands between values.
            plain = re.compile(_DIGITS_IN_CALL).match(text, match.start("number"))
            position = plain.end() if plain else match.end()
            found += _read(plain.group() if plain else match["number"], "number")
        else:
            spoken = re.compile(r"(?:multiplied|divided) by\b").match(text, match.start("word"))
            position = spoken.end() if spoken else match.end()
            found += _read(*((spoken.group(), "word") if spoken else _group(match)))
        if len(found) > MOST_TOKENS:
            raise Unworkable(f"the expression has more than {MOST_TOKENS} parts")
    return found


def _group(match: re.Match[str]) -> tuple[str, str]:
    return match[match.lastgroup or 0], match.lastgroup or ""


def _read(text: str, kind: str) -> Iterable[Token]:
    match kind:
        case "number":
            yield Token("number", _number(text))
        case "mixed":
            whole, top, bottom = map(int, re.split(r"[\s/]+", text))
            if bottom == 0:
                raise Hopeless("it divides by zero")
            yield Token("number", whole + Fraction(top, bottom))
        case "word":
            yield _word(text.rstrip("."))
        case _ if text in _PARTS:
            yield Token("number", Fraction(*_PARTS[text]))
        case _ if text in "²³":
            yield from (Token("^"), Token("number", Fraction("²³".index(text) + 2)))
        case _ if text not in _IGNORED:
            yield Token(_OPERATORS[text])


def _word(text: str) -> Token:
    low = text.casefold()
    if low in FUNCTIONS:
        return Token("function", text=low)
    if low in _SCALES:
        return Token("scale", Fraction(10) ** _SCALES[low])
    return Token(_SPOKEN.get(low, "word"), text=low)


def _number(text: str) -> Fraction:
    if sum(map(str.isdigit, text)) > MOST_DIGITS:
        raise Hopeless(f"a number has more than {MOST_DIGITS} digits")
    try:
        return Fraction(plain_number(text))
    except ValueError:
        raise Unworkable(f"{shorten(text, 40)!r} is not a number") from None


def _without_units(tokens: Sequence[Token]) -> list[Token]:
    parts = list(_between_words(tokens))
    return parts[0] if len(parts) == 1 else []


def _between_words(tokens: Sequence[Token]) -> Iterable[list[Token]]:
    """Split at words; those behind a number, with an operator or nothing after them, are units."""
    part: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if not _is_word(tokens, position):
            part.append(token._replace(kind="word") if token.kind == "scale" else token)
            if token.kind == "scale" and len(part) > 1 and part[-2].kind == "number":
                part[-2:] = [Token("number", part[-2].value * token.value)]
            position += 1
            continue
        end = position
        while end < len(tokens) and _is_word(tokens, end):
            end += 1
        after = tokens[end].kind if end < len(tokens) else ""
        is_unit = bool(part) and end - position <= MOST_UNIT_WORDS
        if not (is_unit and after not in ("number", "(", "function")):
            if part:
                yield part
            part = []
            if tokens[end - 1].text in _MULTIPLES:
                raise Unworkable(f"{tokens[end - 1].text!r} is not a number: write it with digits")
        position = end
    if part:
        yield part


def _is_word(tokens: Sequence[Token], position: int) -> bool:
    token = tokens[position]
    if token.kind == "function":  # `max speed` is none
        after = tokens[position + 1].kind if position + 1 < len(tokens) else ""
        return after != "("
    return token.kind == "word"
