"""The value that a text gives for a field, for the filter `value`: `{{ text | value("price") }}`.

A tiny model that is asked for a value answers in a sentence or invents one; code that knows what
a price or a date looks like copies it. The field's name says what kind of value it has, and which
words stand near it; without such a word the value is the name, or the clause, behind the field.
English cue words. Pure; every pattern is linear on a text of at most MOST characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from crp.language.words import clean, content, sentences, stem, stems, word_set, words

MOST = 20_000
"""Characters of a text that are searched."""
LONGEST = 80
"""Characters of a clause that is a value."""

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_NUMBER = r"\d+(?:[.,]\d+)*"
_NO_UNIT = (
    r"(?!(?:and|or|of|in|on|at|to|by|for|from|with|the|a|an|is|are|was|per|each|has|weighs|costs|"
    r"lasts|holds|takes)\b)"
)
_NAME = r"[^\W\d_a-zß-ÿ](?:[\w'’&-]|\.(?=\S))*"
_KINDS: dict[str, re.Pattern[str]] = {
    "date": re.compile(
        rf"(?i)\b(?:\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}"
        rf"|(?:{_DAY},? )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?"
        rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?\b|{_MONTH} \d{{4}}|{_DAY}|\d{{4}})\b"
    ),
    "year": re.compile(r"\b(?:1[0-9]|20)\d\d\b"),
    "time": re.compile(r"(?i)\b(?:\d{1,2}[:.]\d\d(?:\s?[ap]\.?m\b)?|\d{1,2}\s?[ap]\.?m\b|noon)"),
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "phone": re.compile(r"(?<![\w-])\+?\d[\d ()/-]{4,20}\d"),
    "url": re.compile(r"(?i)\b(?:https?://|www\.)\S{3,200}[\w/]"),
    "percent": re.compile(rf"(?i){_NUMBER}\s?(?:%|percent\b|per cent\b)"),
    "money": re.compile(rf"[$€£¥]\s?{_NUMBER}|{_NUMBER}\s?(?:[€$£¥]|{_NO_UNIT}[a-z]+)"),
    "measure": re.compile(rf"{_NUMBER}(?:\s?{_NO_UNIT}[^\W\d_/°%]+(?:/[^\W\d_]+)?|\s?[°%]\w?)?"),
    "count": re.compile(rf"(?<![\w-]){_NUMBER}"),
    "code": re.compile(r"\b(?=[\w-]*\d)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b"),
    "name": re.compile(rf"{_NAME}(?: (?:(?:of|de|van|von|&) ){{0,2}}(?:{_NAME}|\d+\b)){{0,5}}"),
}
_CUES: tuple[tuple[str, str, str], ...] = (
    ("email", "email mail", "email mail"),
    ("phone", "phone telephone mobile fax", "phone call telephone"),
    ("url", "url website link", "website at"),
    ("date", "date day deadline due birthday", "on by until due dated"),
    ("year", "year founded established built", "in since founded established built opened"),
    ("time", "time hour start", "at from starts opens begins"),
    ("percent", "percent percentage share rate discount", "percent"),
    ("name", "title name", "novel book film called titled named"),
    ("name", "publisher maker manufacturer brand", "published made makes"),
    (
        "money",
        "price cost fee salary rent fare amount total budget revenue",
        "costs cost for at pays",
    ),
    ("code", "id code reference serial isbn sku account invoice passport flight", "number no"),
    ("measure", "weight mass", "weighs weigh heavy kg g gram kilogram tonne lb pound"),
    ("measure", "length", "long"),
    ("measure", "height", "tall high"),
    ("measure", "width", "wide"),
    ("measure", "depth", "deep"),
    ("measure", "distance range", "far away from"),
    ("measure", "duration battery warranty", "lasts takes last runs hour minute month year"),
    ("measure", "speed temperature power size area", "reaches up to degree"),
    ("measure", "capacity volume", "holds hold seats sleeps litre liter"),
    ("measure", "age", "old aged"),
    (
        "count",
        "quantity number count pieces seats rooms pages units population",
        "ordered has with",
    ),
    ("name", "author writer", "by wrote written"),
    ("name", "city town place country location address", "in at to from lives based"),
)
_PLAIN = ("email", "url", "percent")
"""Kinds that look like nothing else: no word needs to stand near them."""
_SEEN = ("date", "time", "phone", "money")
"""Kinds of which a text may have one only, that needs no word near it."""
_LABEL = r"(?im)^[\s>*_#•+-]*{field}[\s*_]*[:=][\s*_]*(\S[^\n]*)"
_IS = re.compile(
    r"(?i)^(?:\s+(?:number|name))?\s*[,:]?\s*(?:(?:is|are|was|were|of|named|called|as|will be)\s+)?"
)
_STOP = r"(?:[;!?\n]|[,.](?=\s|$)|\s(?:and|who|which|with|because|but)\b)"
_CLAUSE = re.compile(rf"(?!{_STOP})\S.{{0,200}}?(?={_STOP}|$)")
_IS_THE = re.compile(rf"({_NAME}(?: {_NAME}){{0,5}})\s*,?\s+(?:is|was|as)(?:\s+\w+){{0,2}}\s*$")
_NO_NAME = word_set("the a an it he she they we i this that its his her their on in at for")


class _Span(NamedTuple):
    text: str
    start: int
    end: int


def value_of(text: str, field: str) -> str:
    """Give the value of a field as it stands in a text; empty when code can not tell."""
    text, field = clean(text)[:MOST], " ".join(clean(field)[:LONGEST].split())
    if not field or not text.strip():
        return ""
    label = re.search(_LABEL.format(field=re.escape(field)), text)
    if label:
        return label[1].strip(" *_")
    kind, near = _kind(field)
    asked = set(content(stems(field))) or set(stems(field))
    cues = asked | {stem(word) for word in near.split()}
    found = [_best(sentence, kind, asked, cues) for sentence in sentences(text)]
    best = max(found, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] > 0 else _only(text, kind)


def _only(text: str, kind: str) -> str:
    """Give the one value of a kind that is plain to see; nothing where there are several."""
    found = {match[0] for match in _KINDS[kind].finditer(text)} if kind in _SEEN else set()
    return found.pop() if len(found) == 1 else ""


def _kind(field: str) -> tuple[str, str]:
    """Give the kind of value that a field has, and the words that stand near it."""
    said = set(stems(field))
    return next(
        ((kind, near) for kind, names, near in _CUES if said & set(names.split())), ("", "")
    )


def _best(sentence: str, kind: str, asked: set[str], cues: set[str]) -> tuple[float, str]:
    """Give the likeliest value of a sentence, and how likely it is: words of the field count
    most, then a cue near by."""
    places = [
        (m.start(), m.end(), stem(m[0].casefold())) for m in re.finditer(r"[^\W_]+", sentence)
    ]
    named = len(asked & {word for *_, word in places})
    near = [(start, end) for start, end, word in places if word in cues]
    spans = list(_spans(sentence, kind, asked)) if kind else []
    if not kind:
        spans = list(_behind(sentence, places, asked))
    scored = [(2 * named + _closeness(span, near), span.text) for span in spans]
    if kind in _PLAIN:
        scored = [(score + 1, found) for score, found in scored]
    scored = [pair for pair in scored if pair[0] > 0 and (named or near or kind in _PLAIN)]
    return max(scored, key=lambda pair: pair[0], default=(0.0, ""))


def _spans(sentence: str, kind: str, asked: set[str]) -> Iterable[_Span]:
    for match in _KINDS[kind].finditer(sentence):
        if kind == "name" and not _is_name(match[0], asked):
            continue
        yield _Span(match[0].strip(" .,-"), match.start(), match.end())


def _is_name(text: str, asked: set[str]) -> bool:
    """`The Glass Orchard` is one, the first word of a sentence alone is none, nor is the field."""
    own = [word for word in words(text) if word not in _NO_NAME and stem(word) not in asked]
    return bool(own)


def _closeness(span: _Span, near: list[tuple[int, int]]) -> float:
    """0 to 1: behind a cue is nearer than before one."""
    gaps = [
        span.start - end if span.start >= end else 3.0 * (start - span.end) for start, end in near
    ]
    return max((1 / (1 + max(0.0, gap)) for gap in gaps), default=0.0)


def _behind(sentence: str, places: list[tuple[int, int, str]], asked: set[str]) -> Iterable[_Span]:
    """Give what stands behind the field's own words: a name or the clause; or what stands
    before `is the`."""
    last = next(((start, end) for start, end, word in reversed(places) if word in asked), None)
    if last is None:
        return
    if before := _IS_THE.search(sentence[: last[0]]):
        yield _Span(before[1].strip(), before.start(1), before.end(1))
        return
    start = last[1] + len(_IS.match(sentence[last[1] :])[0])  # type: ignore[index]
    if clause := _CLAUSE.match(sentence, start):
        name = _KINDS["name"].match(clause[0])
        whole = name[0] if name else clause[0]
        yield _Span(whole.strip(" \"'“”")[:LONGEST], start, start + len(whole))
