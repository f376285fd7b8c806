"""Words, sentences and numbers of a text: what parser, checks and fact selection all count.

Everything is linear in the length of the text and makes no assumption about the language beyond
Unicode, except the short list of English function words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

LONG = 100_000
"""Characters of a text that is worth remembering instead of going over it again."""

_CJK = r"\u3040-\u30ff\u3400-\u9fff"  # written without spaces: every character is a word
_MARKS = r"\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0d7f"  # belong to the letter before
_LETTER = rf"(?:[^\W{_CJK}]|[{_MARKS}])"
_WORD = re.compile(rf"[{_CJK}]|{_LETTER}+(?:['’]{_LETTER}+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[ \t]+|(?<=[。！？])|\n+")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*|(?<=[$€£])\d+(?:[.,]\d+)*")
_MARKER = re.compile(
    r"(?im)^[ \t>]*(?:\#{1,6}[ \t]+)?[*_]{0,2}"
    r"(?:(?:step[ \t]+)?\d{1,3}[.):](?=[ \t*_]|$)|step[ \t]+\d{1,3}(?=[ \t]*$))"
)

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours and cursor movements
    "|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)?"  # window titles and links
    "|\x1b[()][A-Z0-9]?|\x1b[@-Z\\\\^_]?"
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u200b\u200e\u200f\u2060-\u2064\ufeff"  # invisible
    "\u202a-\u202e\u2066-\u2069"  # turn the reading direction around
    "\U000e0000-\U000e007f]"  # invisible copies of ASCII
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LONG_RUN = re.compile(r"([^\w\s\x00-\x7f]{31,})")


def word_set(text: str) -> frozenset[str]:
    """Give the words of a constant, written as people write them."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    """a about after all also am an and any are as at be because been before being both but by can
    could did do does doing each else every few for from get give given had has have having he her
    here him his how i if in into is it its itself just let like made make many may me more most
    much must my no nor not of off on one only or other our out over own per please say she should
    show so some such tell than that the their them then there these they this those through to too
    two under until up us use used uses using very was way we well were what when where which while
    who whom whose why will with would write yes you your"""
)


def clean(text: str) -> str:
    """Give the text without what is not text: escapes, control and direction characters.

    Newlines and tabs stay, other line ends become newlines, surrogates that do not pair become
    U+FFFD, and the rest is in NFC so that two spellings of one letter are equal. Models, servers
    and people all send such things; everything that compares or shows text calls this first.
    """
    if text.isascii() and text.isprintable():
        return text
    return _cleaned_once(text) if len(text) > LONG else _cleaned(text)


@lru_cache(maxsize=4)
def _cleaned_once(text: str) -> str:
    """Facts of megabytes are the same for every call of a job."""
    return _cleaned(text)


def _cleaned(text: str) -> str:
    if _SURROGATES.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _HIDDEN.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", text)))
    return text if text.isascii() else _composed(text)


def _composed(text: str) -> str:
    # Ordering the combining marks of one letter takes quadratic time in CPython, so long runs
    # of characters that may be marks are left as they are.
    parts = _LONG_RUN.split(text)
    parts[::2] = (unicodedata.normalize("NFC", part) for part in parts[::2])
    return "".join(parts)


def words(text: str) -> list[str]:
    """Split a text into casefolded words, without punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def stem(word: str) -> str:
    """Take off the English endings that number and possession make; nothing cleverer."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def stems(text: str) -> list[str]:
    """Split a text into the stems of its words."""
    return [stem(word) for word in words(text)]


def content(found: Iterable[str]) -> list[str]:
    """Keep the words that carry meaning: no function words."""
    return [word for word in found if word not in STOP_WORDS]


def sentences(text: str) -> list[str]:
    """Split a text at sentence ends and line ends; empty ones are left out."""
    return [part for part in map(str.strip, _SENTENCE_END.split(text)) if part]


def numbers(text: str) -> list[str]:
    """Find the numbers of a text, in one spelling each; the numbering of a list is no number."""
    return [plain_number(found[:40]) for found in _NUMBER.findall(_MARKER.sub("", text))]


def plain_number(text: str) -> str:
    """Write a number without thousands separators and without zeros that say nothing.

    `1,200` and `1200.0` are `1200`; a comma before other than three digits is a decimal comma.
    """
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", text):
        text = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d+,\d+", text):
        text = text.replace(",", ".")
    if text.count(".") == 1 and "," not in text:
        text = text.rstrip("0").removesuffix(".")
    return text.lstrip("0") if text.lstrip("0")[:1].isdigit() else "0" + text.lstrip("0")


def names(text: str) -> list[str]:
    """Find the words that are names: a capital inside a sentence, or capitals and digits mixed."""
    found: list[str] = []
    for sentence in sentences(_MARKER.sub("", text)):
        for position, match in enumerate(_WORD.finditer(sentence)):
            word = match.group()
            inside = position > 0 and sentence[match.start() - 1] not in "\"“'(*_#|"
            odd = any(c.isupper() for c in word[1:])
            if len(word) > 1 and (odd or (inside and word[0].isupper())):
                found.append(word)
    return found


def runs(found: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    """Give every run of so many words that stand next to each other (n-grams)."""
    return zip(*(found[start:] for start in range(size)), strict=False)


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters, at a space where there is one near the end."""
    text = " ".join(text[: limit * 4].split())
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head) + "…"
