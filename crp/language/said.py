"""What a request says outright: its material, the choices it leaves, the fields it asks for.

sentences  `Check these claims: ...` holds an instruction and a text to work on, which stands below
           the first line, between quotes, behind the first colon, `is it true that` or the first
           sentence. Facts are such a text as a whole. Headings and the fences of code are no
           sentences; list markers are taken off.
texts      the entries of that text where it is a list, otherwise all of it as one
choices    what stands behind `classify ... as`, `into`, `labels:`, or `is this ... A or B`
fields     what stands between `extract` and `from`, or behind `with the keys`
sections   what stands behind `sections on`, `chapters:`, `covering`

The cue words are English. Pure, and linear in the length of the text.
"""

from __future__ import annotations

import re

from crp.language.words import sentences

LONGEST_TEXT = 4_000
LONGEST = 600
"""Characters of one sentence; the rest of a longer one is left out."""

_QUOTED = re.compile(r"[\"“]([^\"“”]{1,8000})[\"”]")
_BEHIND = re.compile(r":\s+(\S.*)", re.DOTALL)
_AFTER = re.compile(r"[?.!]\s+(\S.*)", re.DOTALL)
_STATED = re.compile(
    r"\b(?:is it (?:true|correct|right|a fact) that|fact[ -]?check that|"
    r"(?:verify|check) (?:whether|that|if))\s+(\S[^?\n]*)",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^(?:[-*•+]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_SENTENCE_END = re.compile(r"[.?!](?=\s|$)")
_INLINE = re.compile(r"(?<=[.?!:;\"”])[ \t]+(?=\(?\d{1,2}[.)][ \t]+\S)")
"""Where the next entry of a list begins that is written in one line: `1. A. 2. B.`"""
_NO_SENTENCE = re.compile(r"#{1,6}\s|```|~~~|[-=*_]{3,}\s*$")
_LONGEST_REQUEST = 4_000
_I = re.IGNORECASE
_GROUPS = r"labels?|categor(?:y|ies)|class(?:es)?|groups?|options|choices|tags?|topics"
_SORTING = r"classify|categori[sz]e|label|tag|sort|assign|file|mark|rate|put|route"
_TEXT = (
    r"(?:it|(?:this|the|that|following)(?: (?:following|customer|support|user|short))*"
    r"(?: (?:text|review|e-?mail|message|sentence|comment|post|ticket|note|request|article|story|"
    r"headline|question|statement|line|answer|letter|report|word|animal|tweet))?)"
)
_CHOICES = tuple(
    re.compile(pattern, _I)
    for pattern in (
        rf"\b(?:{_GROUPS})(?: are)?\s*:\s*([^\n:]+)",
        rf"\b(?:{_SORTING})\b[^\n:]*?\b(?:as|into|under|to)\s+(?:either\s+|one of\s+)?([^\n:]+)",
        rf"^is {_TEXT}\s+(?:about\s+|from\s+|an?\s+)?([^\n:?]+\bor\b[^\n:?]+)",
        rf"\b(?:whether|if) {_TEXT}\s+(?:is|are)\s+(?:about\s+|an?\s+)?([^\n:?]+\bor\b[^\n:?]+)",
        r"\bwhich (?:\w+ ){1,6}?fits?[^\n:,]*[:,]\s+([^\n:?]+\bor\b[^\n:?]+)",
    )
)
_TO_EXTRACT = r"extract|pull out|pick out|find|get|collect|read out|return|list|give(?: me)?|note"
_WHERE = (
    r"from|out of|in (?:this|the|these|each|every)|of (?:each|every|all)|for (?:each|every|all)|"
    r"mentioned|that|as (?:json|a|an)|into|to json"
)
_FIELDS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        r"\b(?:fields|keys|columns|attributes|properties)(?: are| named| called)?\s*:?\s+"
        r"([^\n:.]+)",
        rf"\b(?:{_TO_EXTRACT})\s*:\s*([^\n:.]+)",
        rf"\b(?:{_TO_EXTRACT})\s+(?:only\s+)?([^\n:]+?)\s*(?:\b(?:{_WHERE})\b|[:.]|$)",
        rf"\b(?:what|which) (?:is|are|were|was) ([^\n:?]+?)\s*(?:\b(?:{_WHERE})\b|[:?]|$)",
    )
)
_SECTIONS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        r"\b(?:sections?|chapters?|headings?|parts)(?: each)?"
        r"(?: (?:on|about|for|called|named|titled|are|of))?\s*[:(]?\s+([^\n.:()]+)",
        r"\b(?:covering|covers|that (?:should )?cover)\s+([^\n.:()]+)",
    )
)
_TOPICS = (
    re.compile(
        r"\b(?:pros and cons|(?:advantages|upsides|benefits|strengths) (?:and|or) "
        r"(?:disadvantages|downsides|drawbacks|risks|weaknesses)|for and against|both sides of|"
        r"debate (?:about|on|over)|arguments? (?:for(?! and)|about|against))"
        r"\s+(?:of\s+|for\s+|about\s+)?([^\n:]+)",
        _I,
    ),
)
_EVERYTHING = re.compile(
    r"(?:all|every|the|any|key|main|important|relevant|structured)?\s*(?:facts?|data|information|"
    r"details?|values?|fields?|everything|text|json|table|records?|entities)",
    _I,
)
_SHORT_FOR = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|approx|e\.g|i\.e)|\b[A-Z])\.$")


def material(request: str) -> str:
    """Give the part of a request that is to be worked on; empty when there is none."""
    first, _, below = request.strip().partition("\n")
    if below.strip():
        return below
    pieces = [found.strip() for found in _QUOTED.findall(first)]
    longest = max(pieces, key=len, default="")
    if len(longest.split()) >= 4:
        return longest
    for pattern in (_STATED, _BEHIND, _AFTER):
        if (behind := pattern.search(first)) and len(behind[1].split()) >= 3:
            return behind[1]
    return ""


def choices(request: str) -> str:
    """Give the words that name what to choose from; empty when there are none."""
    return _SENTENCE_END.split(_first(_CHOICES, request))[0]


def fields(request: str) -> str:
    """Give the words that name what to extract; empty when they only say `the data`."""
    found = _first(_FIELDS, request)
    return "" if _EVERYTHING.fullmatch(found.strip(" .:")) else found


def sections(request: str) -> str:
    """Give the words that name the sections of a text to be written; empty when there are none."""
    return _first(_SECTIONS, request)


def topic(request: str) -> list[str]:
    """Give what a request wants weighed, without the words of weighing; empty when it is whole."""
    found = _SENTENCE_END.split(_first(_TOPICS, request))[0].strip()
    return [found] if found else []


def _first(patterns: tuple[re.Pattern[str], ...], request: str) -> str:
    text = request[:_LONGEST_REQUEST]
    return next((m[1].strip(" .?!") for p in patterns if (m := p.search(text))), "")


def each_sentence(text: str) -> list[str]:
    """Split a text into its sentences, each once, in their order."""
    found: list[str] = []
    for line in _lines(text):
        if not _NO_SENTENCE.match(line.strip()):
            found += _mended(sentences(_MARKER.sub("", line.strip())))
    return list(dict.fromkeys(sentence[:LONGEST] for sentence in found))


def each_text(text: str) -> list[str]:
    """Split a text into the entries of its list; a text that is no list is one entry."""
    lines = [line.strip() for line in _lines(text) if line.strip()]
    entries = [_MARKER.sub("", line) for line in lines if _MARKER.match(line)]
    found = entries if len(entries) >= 2 else [" ".join(lines)]
    return [entry[:LONGEST_TEXT] for entry in dict.fromkeys(found) if entry]


def _lines(text: str) -> list[str]:
    return _INLINE.sub("\n", text).splitlines()


def _mended(parts: list[str]) -> list[str]:
    """Put a sentence together again that was cut behind `Dr.` or an initial."""
    whole: list[str] = []
    for part in parts:
        if whole and _SHORT_FOR.search(whole[-1]):
            whole[-1] = f"{whole[-1]} {part}"
        else:
            whole.append(part)
    return whole
