"""One value out of what a model wrote around it: a number, yes or no, a choice, a date, a line.

Each reader gives None when the text does not say it, or says two things at once: asking again is
cheaper than going on with a guess. Pure and linear.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date

from crp.language.words import plain_number, word_set, words

_LABEL = re.compile(
    r"(?i)^[\s>*_#`\"'“]*(?:(?:the\s+)?(?:final\s+|correct\s+|short\s+)?(?:answer|result|output|"
    r"response|choice|verdict)(?:\s+is)?)[*_\s]*:?[*_\s]*[:=]?\s*"
)
_PREAMBLE = re.compile(
    r"(?i)^(?:sure|certainly|of course|okay|ok|here(?:'s| is| are)|below (?:is|are)|"
    r"the following|i(?:'d| would) be happy)\b"
)
_CONCLUSION = re.compile(
    r"(?i)\b(?:answer|result|total|sum|score|rating|value|conclusion)\b(?:\s+\w+){0,3}?\s*(?:is|:|=)"
    r"|=|\btherefore\b"
)
_NUMBER = re.compile(
    r"(?<![\w.,])[-−+]?\s?[$€£]?\d++(?:[.,]\d++)*+(?:[eE][-+]?\d{1,2}\b)?+(?![eE]\d)"
)
_SCALE = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_UNITS = {
    word: float(number)
    for number, word in enumerate(
        words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty"
        )
    )
}
_YES = word_set("yes yeah yep y true correct")
_NO = word_set("no nope n false incorrect wrong")
_BOTH = re.compile(r"(?i)\byes\s*(?:/|,?\s*or)\s*no\b")
_VOTE = re.compile(
    r"(?i)(?P<not>\b(?:not|never|isn't|isn’t)\s+)?"
    r"\b(?P<word>(?:yes|no)(?=\s*(?:[.,;:!*\"')\]]|$|\n))|(?:in)?correct\b|true\b|false\b)"
)
_MONTHS = words(
    "january february march april may june july august september october november december"
)
_MONTH = "|".join(f"{name}|{name[:3]}" for name in _MONTHS)
_DATES = (
    re.compile(r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)"),
    re.compile(
        rf"(?i)(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?(?P<m>{_MONTH})\.?,?"
        r"\s+(?P<y>\d{4})(?!\d)"
    ),
    re.compile(
        rf"(?i)\b(?P<m>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})"
        r"(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?!\d)"),
)


def is_preamble(text: str) -> bool:
    """Tell whether a line only announces what comes after it."""
    text = text.strip().rstrip("*_ ")
    return bool(_PREAMBLE.match(text)) and (text.endswith(":") or len(text.split()) < 4)


def unlabelled(text: str) -> str:
    """Take an `Answer:` off the beginning, and what stands around the text as decoration."""
    rest = _LABEL.sub("", text[:200], count=1) + text[200:]
    rest = rest.strip().strip("*`").strip()
    if len(rest) > 1 and (rest[0], rest[-1]) in {('"', '"'), ("“", "”"), ("'", "'")}:
        rest = rest[1:-1].strip()
    return rest or text.strip()


def line(text: str) -> str:
    """Give the first line that says something."""
    lines = [entry for entry in map(str.strip, text.split("\n")) if entry.strip("*_#`-= ")]
    said = [entry for entry in lines if not is_preamble(entry)] or lines
    for position, entry in enumerate(said[:3]):
        rest = unlabelled(entry.lstrip("#>-•* ") if position == 0 else entry)
        if not _LABEL.fullmatch(rest + " ") or position + 1 == len(said):
            return rest
    return unlabelled(said[0]) if said else ""


def number(text: str, low: float | None = None, high: float | None = None) -> float | None:
    """Find the number that a text gives as its answer.

    That is the one behind the last `answer is` or `=`; else the first one that is in the range,
    in the first line that has any. A percentage is a share where the range ends at 1.
    """
    marks = list(_CONCLUSION.finditer(text))
    parts = [text[mark.end() : mark.end() + 200] for mark in reversed(marks[-3:])]
    for part in [*parts, *text.split("\n")]:
        found = _numbers(part, share=high is not None and high <= 1)
        fitting = [value for value in found if in_range(value, low, high)]
        if found:
            return (fitting or found)[0]
    return None


def in_range(value: float, low: float | None, high: float | None) -> bool:
    """Tell whether a number is in a range whose ends may be open."""
    return (low is None or value >= low) and (high is None or value <= high)


def _numbers(text: str, share: bool) -> list[float]:
    found: list[float] = []
    for match in _NUMBER.finditer(text):
        value = _float(match.group())
        if value is None:
            continue
        after = text[match.end() : match.end() + 12].lstrip()
        scale = _SCALE.get(after.split(" ")[0].strip(".,;").casefold(), 1.0)
        found.append(value / 100 if share and after.startswith("%") else value * scale)
    return found or [_UNITS[word] for word in words(text[:2000]) if word in _UNITS]


def _float(text: str) -> float | None:
    sign = -1.0 if text[0] in "-−" else 1.0
    digits, _, exponent = text.lstrip("-−+ $€£").lower().partition("e")
    if len(digits) > 40:
        return None
    try:
        value = float(plain_number(digits) + (f"e{exponent}" if exponent else ""))
    except ValueError:  # a version such as 1.2.3
        return None
    return sign * value if math.isfinite(value) else None


def yes_no(text: str) -> str | None:
    """Read a yes or a no: the first word of the text or of a line near its end, or the only one."""
    lines = [entry for entry in unlabelled(text)[:20_000].split("\n") if entry.strip()]
    for entry in (*lines[:1], *lines[-2:][::-1]):
        first = words(unlabelled(entry)[:200])[:1]
        if first and first[0] in _YES | _NO:
            return "yes" if first[0] in _YES else "no"
    votes = {
        "no" if bool(vote["not"]) != (vote["word"].casefold() in _NO) else "yes"
        for vote in _VOTE.finditer(_BOTH.sub(" ", text[:20_000]))
    }
    return votes.pop() if len(votes) == 1 else None


def choice(text: str, options: Sequence[str]) -> str | None:
    """Find which option a text picks, however it is dressed up.

    The text begins with it, names it after the last `answer is`, or names no other.
    """
    patterns = {option: _option(option) for option in sorted(options, key=len, reverse=True)}
    first = unlabelled(text)
    marks = list(_LABEL_INSIDE.finditer(text))
    candidates = [first, *(text[mark.end() : mark.end() + 300] for mark in marks[-1:])]
    for part in candidates:
        for option, pattern in patterns.items():
            if pattern.match(part.lstrip("*_\"'“`-([ ")):
                return option
    rest, named = first[:20_000], []
    for option, pattern in patterns.items():
        rest, count = pattern.subn(" ", rest)
        named += [option] if count else []
    return named[0] if len(named) == 1 else None


_LABEL_INSIDE = re.compile(
    r"(?i)\b(?:answer|choice|verdict|label|class|category|winner)\b\W*(?:is\b|:|=)[\s*_\"'“`]*"
)


def _option(option: str) -> re.Pattern[str]:
    body = r"\s+".join(map(re.escape, option.split())) or "(?!)"
    if len(option.strip()) == 1:  # `A good one` does not pick A
        return re.compile(rf"(?<!\w){body}(?=\s*(?:[).:,;\"'*\]]|$|\n))")
    return re.compile(rf"(?i)(?<!\w){body}(?!\w)")


def day(text: str) -> str | None:
    """Read a date as YYYY-MM-DD; a year alone stays a year."""
    text = text[:2000]
    for pattern in _DATES:
        match = pattern.search(text)
        if match:
            try:
                return date(int(match["y"]), _month(match["m"]), int(match["d"])).isoformat()
            except ValueError:
                continue
    year = re.search(r"(?<!\d)(?:1\d|20)\d{2}(?!\d)", text)
    return year.group() if year else None


def _month(text: str) -> int:
    if text.isdecimal():
        return int(text)
    return next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(text[:3].lower()))


def code(text: str) -> str:
    """Give the program: the longest fenced block, else the text without prose around it."""
    blocks = re.findall(r"(?m)^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", text + "\n", re.DOTALL)
    if blocks:
        return str(max(blocks, key=len)).strip("\n").rstrip()
    lines = text.strip("\n").split("\n")
    while len(lines) > 1 and (not lines[0].strip() or is_preamble(lines[0])):
        lines.pop(0)
    return "\n".join(lines).strip("\n").rstrip()


def unfenced(text: str) -> str:
    """Take off a fence that stands around the whole text."""
    match = re.match(r"\s*```(?:markdown|md|text|json)?[ \t]*\n", text)
    end = text.rstrip()
    if match and end.endswith("```") and end.count("```") == 2:
        return end[match.end() : -3].strip()
    return text.strip()
