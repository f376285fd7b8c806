"""Lists that stand in a request or in its facts, found by code, and the guard for any list.

Code comes before a model because it is exact: `Compare React, Vue, and Angular` names its things
word for word, and a small model that is asked for them invents a fourth. Which of two lists is
meant is the template's word (`find:`):

things    in the request, the entries behind `compare`, `between`, `pros and cons of`, around `vs`
          or `or`, or below each other as bullets; in the facts, the headings.
aspects   in the request, the entries behind `on`, `by`, `in terms of`, `across`, `regarding`;
          in the facts, the labels (`weight: 1.2 kg`) that stand under every heading.
sentences in the request, those of the text that it brings along; in the facts, all of them.
texts     the entries of that text where it is a list, otherwise all of it as one.
choices   in the request, what it leaves to choose from; in the facts, the headings.
fields    in the request, what is to be extracted; in the facts, labels as above.
sections  in the request, those of the text to be written; in the facts, the headings.
parts     the pieces of the facts, or of the text that the request brings along; see `gist.py`.
topic     in the request, what it wants weighed: behind `pros and cons of`.

All from `sentences` to `topic` are read by `said.py`.

The cue words are English. Where they find nothing, the template's `ask` and `otherwise` follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import JsonValue

from crp.language import gist, said
from crp.language.schema import Extract
from crp.language.words import content, word_set, words
from crp.models import Task

_LONGEST = 4_000
_MOST_WORDS = 8
"""An entry of more words is not a name but a sentence."""

_LONGEST_ENTRY = 300
_MARKS = " \t\"'`“”‘’*_,;:!?"

_I = re.IGNORECASE
_SENTENCE = re.compile(r"(?<=[.?!])(?<!\bvs\.)\s+|\n+")
_QUOTED = re.compile(r"(?<!\w)[\"“'‘]([^\"“”'‘’\n]{1,80})[\"”'’](?!\w)")
_BULLET = re.compile(r"[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+(\S.*)")

_SURE_ASPECTS = (
    r"in terms of|in regard to|with regard to|with respect to|when it comes to|based on|"
    r"focus(?:ing|ed)? on|regarding|considering|across|according to|"
    r"(?:aspects|criteria|dimensions|factors)\s*:"
)
_ASPECTS = re.compile(rf"(?:^|[\s,;])(?:{_SURE_ASPECTS}|on|by)\s+(.+)", _I)
_IS_SURE = re.compile(rf"(?:{_SURE_ASPECTS})\s*$", _I)

_ASIDE = re.compile(
    r"(?:^|[\s,;])(?:and|then|but|please)\s+(?:please\s+)?(?:tell|say|explain|recommend|give|then|"
    r"pick|choose|decide|suggest|show|list|write|which|what|how|why)\b.*|"
    r"[\s,;]+(?:which|what|who|please|so that|in order to|because|if)\b.*",
    _I | re.DOTALL,
)
_TRAILING = re.compile(
    rf"(?:^|[\s,;])(?:{_SURE_ASPECTS}|on|by|for|given|using|as (?:a|an|the))\b.*", _I | re.DOTALL
)
_THINGS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        r"\b(?:between|among)\s+(.+)",
        r"\b(?:pros and cons|advantages and disadvantages|strengths and weaknesses|"
        r"benefits and drawbacks|upsides and downsides) of\s+(.+)",
        r"\b(?:compare|comparing|contrast|comparison of|differences? of)\s+"
        r"(?:and contrast\s+)?(.+)",
        r"\bhow (?:do|does|is|are)\s+(.+?)\s+(?:differ|compare)(?:s|ed)?\s*\??$",
        r"\bhow (?:do|does|is|are)\s+(.+?\s+(?:differ|differs|different|compare|compared)\s+"
        r"(?:from|to|with)\s+.+)",
    )
)
_VERSUS = re.compile(r"\s+(?:vs\.?|versus)\s+", _I)
_PAIRED = re.compile(
    r"\s+(?:with|to|against|differs? from|different from|compared? (?:to|with))\s+", _I
)
_CHOICE = re.compile(
    r"^(?:so\s+|and\s+)?(?:which|what|who)\b.*?[,:]\s*(.+)$|"
    r"^(?:should|would|do|does|is|are|can|could)\s+(?:i|we|you|one|it|they)\s+"
    r"(?:be\s+)?(?:better\s+)?(?:to\s+)?(?:use|choose|pick|learn|buy|get|take|prefer|go with|"
    r"go for|adopt|have)?\s*(.+)$|"
    r"^(?:is|are)\s+(.+?)\s+(?:the\s+)?(?:better|best|faster|cheaper|safer|easier)\b.*$|"
    r"^([^,:]+?\s+or\s+[^,:]+?)\s*[:,?-].*$",
    _I,
)
_ASKING = word_set("compare comparison versus vs difference differences better best between c go")
"""Words that say that things are compared, not which; and names that are everyday words."""
_KIND = re.compile(r"^(?:[a-z]+ ){1,3}(?:at |of |from |by )?(?=[A-Z])")
"""What a name is the name of, in small letters before it."""
_ARTICLE = re.compile(r"^(?:a|an|the|both|either|using|use|these|those)\s+")

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_OWN_LINE = re.compile(r"^(?:\*\*|__)?([^*_:#|]{1,60}?)(?:\*\*|__)?\s*:?\s*(?:\*\*|__)?$")
_LABEL = re.compile(
    r"^\s*(?:[-*•]\s+)?(?:\*\*|__)?([^\W\d_][\w /()-]{0,38}?)(?:\*\*|__)?\s*:\s*(?:\*\*|__)?\s*\S"
)
_VALUE = re.compile(_LABEL.pattern.removesuffix(r"\S") + r"(\S.*)")


def find_list(
    extract: Extract, task: Task, names: Mapping[str, JsonValue] | None = None
) -> tuple[str, ...] | None:
    """Find a list by code where the template says; None when it does not stand there."""
    found: Sequence[str] | None
    for place in extract.source:
        if extract.find == "parts":
            found = list(gist.parts(gist.long_text(task, place), extract.max))
        else:
            found = _FINDERS[extract.find, place](task)
        if found and len(found) >= extract.min and not _is_another(found, names or {}):
            return tuple(found)
    return None


def _is_another(found: Sequence[str], names: Mapping[str, JsonValue]) -> bool:
    """Whether these are the entries of a list that is known: the request names the things once,
    the aspects to look at are not these."""
    entries = {clean_entry(entry).casefold() for entry in found}
    lists = (value for value in names.values() if isinstance(value, list) and value)
    return any({str(entry).casefold() for entry in other} <= entries for other in lists)


def guard(
    extract: Extract,
    values: Sequence[str],
    task: Task,
    names: Mapping[str, JsonValue] | None = None,
) -> tuple[tuple[str, ...], str]:
    """Clean a list that was found or made; the second part says what is still wrong with it."""
    tidy = str.strip if extract.find in ("sentences", "texts", "parts", "topic") else clean_entry
    entries = _unique(tidy(value) for value in values)
    invented: list[str] = []
    if extract.must_appear:
        said = " ".join(f"{task.text}\n{task.context}".casefold().split())
        invented = [e for e in entries if e.casefold() not in said]
        entries = [e for e in entries if e.casefold() in said]
    entries = entries[: extract.max]
    if len(entries) >= extract.min:
        return tuple(entries), ""
    gone = f"; not in the request: {', '.join(invented)}" if invented else ""
    return tuple(entries), f"{extract.name}: {len(entries)} of at least {extract.min} found{gone}"


def without_asking(extract: Extract, task: Task) -> tuple[str, ...] | None:
    """Give the list that serves when no model is asked: of the nearest example, or `otherwise`.

    The nearest example is the one that names most of the request's own words, one at least.
    """
    said = _own_words(task.text)
    shared = [(len(said & _own_words(example.task)), example) for example in extract.examples]
    most, nearest = max(shared, key=lambda pair: pair[0], default=(0, None))
    return nearest.gives if nearest is not None and most else extract.otherwise


def _own_words(text: str) -> set[str]:
    """The words of a request that say what it is about."""
    return set(content(words(text))) - _ASKING


def clean_entry(text: str) -> str:
    """Take off what does not belong to a name: quotes, articles, marks, a full stop."""
    entry = " ".join(text[:_LONGEST_ENTRY].split()).strip(_MARKS)
    # `React.` loses its full stop, a single letter as in `J. B.` keeps it.
    if entry.endswith(".") and not re.search(r"\b\w\.$", entry):
        entry = entry[:-1].rstrip(_MARKS)
    entry = _ARTICLE.sub("", entry).strip()
    return entry if re.search(r"\w", entry) else ""


def split_list(text: str) -> list[str]:
    """Split `A, B and C` into its entries; `and` inside an entry between commas stays."""
    quoted: list[str] = []

    def aside(match: re.Match[str]) -> str:
        quoted.append(match.group(1))
        return f"\0{len(quoted) - 1}\0"

    parts = _split(_QUOTED.sub(aside, text.replace("\0", "")))
    whole = (re.sub(r"\0(\d+)\0", lambda m: quoted[int(m.group(1))], p) for p in parts)
    return _unique(clean_entry(part) for part in whole)


def _split(text: str) -> list[str]:
    parts = [p for p in re.split(r"\s*[,;]\s*", text.strip()) if p]
    if not parts:
        return []
    last = re.sub(r"^(?:and|or|&)\s+", "", parts[-1], flags=_I)
    if last == parts[-1]:
        parts[-1:] = re.split(r"\s+(?:and|or|&|nor)\s+", last, flags=_I)
    else:
        parts[-1] = last
    return parts


# -- in the request -----------------------------------------------------------------------------


def _things(task: Task) -> list[str] | None:
    text = task.text[:_LONGEST]
    if named := _headings_named(text, task.context):
        return named
    bullets = [m.group(1) for line in text.splitlines() if (m := _BULLET.match(line))]
    if len(bullets) >= 2:
        return _names([clean_entry(b.split(": ")[0]) for b in bullets])
    for sentence in _sentences(text):
        if found := _things_in(sentence):
            return found
    return None


def _headings_named(text: str, context: str) -> list[str]:
    """Things that the facts have a heading for and the request speaks of, in its order."""
    low = text.casefold()
    places = {
        s: found.start()
        for s in subjects(context) or []
        if (found := re.search(rf"(?<!\w){re.escape(s.casefold())}(?!\w)", low))
    }
    return sorted(places, key=places.__getitem__) if len(places) >= 2 else []


def _sentences(text: str) -> list[str]:
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


def _things_in(sentence: str) -> list[str] | None:
    for pattern in _THINGS:
        if (match := pattern.search(sentence)) and (found := _entries(match.group(1))):
            return found
    if _VERSUS.search(sentence):
        return _entries(re.sub(r"^.*[:,]\s+(?=.*\bv(?:s|ersus)\b)", "", sentence, flags=_I))
    if re.search(r"\sor\s", sentence, _I) and (match := _CHOICE.match(sentence)):
        chosen = next(group for group in match.groups() if group)
        return _entries(chosen)
    return None


def _entries(text: str) -> list[str] | None:
    """Split what stands behind a cue, first without its trailing clause, then with it."""
    text = _ASIDE.sub("", text.rstrip(" .?!:"))
    for tried in (_TRAILING.sub("", text), text):
        joined = _PAIRED.sub(", ", _VERSUS.sub(", ", tried), count=0 if "vs" in tried else 1)
        if found := _names(split_list(joined)):
            return found
    return None


def _names(entries: list[str]) -> list[str] | None:
    """At least two entries, none of them longer than a name."""
    short = all(0 < len(e.split()) <= _MOST_WORDS for e in entries)
    return _without_kind(entries) if len(entries) >= 2 and short else None


def _without_kind(entries: list[str]) -> list[str]:
    """`the kettles Zeno and Quillon` are Zeno and Quillon: facts speak of them without the kind."""
    if not any(e[:1].isupper() for e in entries[1:]):
        return entries
    return [_KIND.sub("", entries[0]), *entries[1:]]


def _aspects(text: str) -> list[str] | None:
    for sentence in _sentences(text):
        for match in _ASPECTS.finditer(sentence):
            cue = sentence[match.start() : match.start(1)]
            entries = split_list(_without_ending(match.group(1)))
            sure = bool(_IS_SURE.search(cue.strip()))
            # `on a budget` or `by Friday` is one entry behind a word that means many things.
            if (
                entries
                and (sure or len(entries) >= 2)
                and all(len(e.split()) <= 5 for e in entries)
            ):
                return entries
    return None


def _sections(text: str) -> list[str] | None:
    found = split_list(_without_ending(said.sections(text)))
    named = [re.sub(r"^(?:one|another) (?:on|about|for)\s+", "", entry) for entry in found]
    return _names(named) or _aspects(text)


def _without_ending(text: str) -> str:
    return re.sub(
        r"(?:^|[\s,])(?:for|so that|and (?:tell|say|recommend|explain|pick|choose|which))\b.*",
        "",
        text.rstrip(" .?!"),
        flags=_I,
    )


# -- in the facts -------------------------------------------------------------------------------


def subjects(context: str) -> list[str] | None:
    """Name what the facts are about: their headings, or the names their lines begin with."""
    found = [clean_entry(name) for name, _ in passages(context)]
    return _unique(found) if len(found) >= 2 else None


def labels(context: str) -> list[str] | None:
    """Name the labels that every passage has, in the order of the first one."""
    found = [_labels_in(body) for _, body in passages(context)]
    if len(found) < 2:
        return None
    common = [
        label
        for label in found[0]
        if all(label.casefold() in (other.casefold() for other in rest) for rest in found[1:])
    ]
    return common or None


def sheet(context: str) -> dict[str, dict[str, str]]:
    """Read facts of the form `label: value` by what they are about; empty when they are not so."""
    common = labels(context) or []
    wanted = {label.casefold(): label for label in common}
    found: dict[str, dict[str, str]] = {}
    for name, body in passages(context) if common else []:
        values = (_VALUE.match(part) for line in body.splitlines() for part in line.split("; "))
        row = {" ".join(m.group(1).split()).casefold(): m.group(2).strip() for m in values if m}
        found[clean_entry(name)] = {wanted[k]: v for k, v in row.items() if k in wanted}
    return found


def passages(context: str) -> list[tuple[str, str]]:
    """Split facts into named passages: by markdown headings, by lines that are a name alone, or
    by the name that each line begins with."""
    lines = context.splitlines()
    for split in (_by_headings, _by_own_lines, _by_first_word):
        if len(found := split(lines)) >= 2:
            return found
    return []


def _by_headings(lines: list[str]) -> list[tuple[str, str]]:
    levels = [len(m.group(1)) for line in lines if (m := _HEADING.match(line))]
    if not levels:
        return []
    # A title stands above the headings: take the level that most of them have.
    level = max(sorted(set(levels)), key=levels.count)

    def name(line: str) -> str | None:
        match = _HEADING.match(line)
        return match.group(2) if match and len(match.group(1)) == level else None

    return _gather(lines, name)


def _by_own_lines(lines: list[str]) -> list[tuple[str, str]]:
    """`Aero 13:` or `**Aero 13**` on a line, its facts below."""

    def name(line: str) -> str | None:
        bare = line.strip()
        marked = bare.endswith(":") or (
            bare.startswith(("**", "__")) and bare.endswith(("**", "__"))
        )
        match = _OWN_LINE.match(bare) if marked else None
        return match.group(1).strip() if match and not _BULLET.match(line) else None

    return _gather(lines, name)


def _by_first_word(lines: list[str]) -> list[tuple[str, str]]:
    """`Aero 13: 1.1 kg, 900 euros` on every line, each beginning with another name."""
    filled = [line for line in lines if line.strip()]
    parts = [line.strip().lstrip("-*• ").split(": ", 1) for line in filled]
    names = [part[0] for part in parts]
    alike = all(len(p) == 2 and len(p[0].split()) <= 5 and p[0][:1].isupper() for p in parts)
    if not alike or len(set(names)) < len(names):
        return []
    return [(name, body) for name, body in parts]


def _gather(lines: list[str], name: Callable[[str], str | None]) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if heading := name(line):
            found.append((heading, []))
        elif found:
            found[-1][1].append(line)
    return [(heading, "\n".join(body)) for heading, body in found]


def _labels_in(body: str) -> list[str]:
    found = (_LABEL.match(part) for line in body.splitlines() for part in line.split("; "))
    return _unique(" ".join(m.group(1).split()) for m in found if m)


def _unique(entries: Iterable[str]) -> list[str]:
    """Keep the first of equal entries, whatever their case; leave out empty ones."""
    seen: dict[str, str] = {}
    for entry in entries:
        if entry:
            seen.setdefault(entry.casefold(), entry)
    return list(seen.values())


_FINDERS: dict[tuple[str, str], Callable[[Task], list[str] | None]] = {
    ("things", "task"): _things,
    ("things", "context"): lambda task: subjects(task.context),
    ("aspects", "task"): lambda task: _aspects(task.text[:_LONGEST]),
    ("aspects", "context"): lambda task: labels(task.context),
    ("sentences", "task"): lambda task: said.each_sentence(said.material(task.text)),
    ("sentences", "context"): lambda task: said.each_sentence(task.context),
    ("texts", "task"): lambda task: said.each_text(said.material(task.text)),
    ("texts", "context"): lambda task: said.each_text(task.context),
    ("choices", "task"): lambda task: split_list(said.choices(task.text)),
    ("choices", "context"): lambda task: subjects(task.context),
    ("fields", "task"): lambda task: split_list(said.fields(task.text)),
    ("fields", "context"): lambda task: labels(task.context),
    ("topic", "task"): lambda task: said.topic(task.text),
    ("topic", "context"): lambda task: None,
    ("sections", "task"): lambda task: _sections(task.text[:_LONGEST]),
    ("sections", "context"): lambda task: subjects(task.context),
}
