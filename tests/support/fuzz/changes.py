"""Small changes that make a good file a bad one: of signs and lines, and of data."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

from tests.support.fuzz.corpus import DUMPER, Corpus, places
from tests.support.fuzz.hostile import (
    DIGITS,
    HUGE_EXPRESSIONS,
    JINJA,
    KINDS,
    OPERATORS,
    PATTERNS,
    RANGES,
    SIGNS,
    TAILS,
    VALUES,
    YAML_SIGNS,
)


def damaged(rng: Random, text: str, known: Corpus) -> str:
    """Change signs and lines of a text."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        change: Callable[[Random, str, Corpus], str] = rng.choice(_TEXT_CHANGES)
        text = change(rng, text or "x", known)
    return text


def _delete(rng: Random, text: str, known: Corpus) -> str:
    at = rng.randrange(len(text))
    return text[:at] + text[at + rng.choice((1, 1, 2, 5, 30, 300)) :]


def _insert(rng: Random, text: str, known: Corpus) -> str:
    at = rng.randrange(len(text) + 1)
    signs = rng.choice((YAML_SIGNS, JINJA, VALUES, SIGNS))
    return text[:at] + str(rng.choice(signs)) + text[at:]


def _double(rng: Random, text: str, known: Corpus) -> str:
    at, size = rng.randrange(len(text)), rng.choice((1, 2, 10, 80, 500))
    return text[:at] + text[at : at + size] * rng.choice((2, 2, 3, 20)) + text[at + size :]


def _swap(rng: Random, text: str, known: Corpus) -> str:
    first, second = sorted(rng.randrange(len(text)) for _ in range(2))
    size = rng.choice((1, 1, 3, 20))
    one, other = text[first : first + size], text[second : second + size]
    return text[:first] + other + text[first + size : second] + one + text[second + size :]


def _cut(rng: Random, text: str, known: Corpus) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _lines(rng: Random, text: str, known: Corpus) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    other = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at] = " " * rng.randint(1, 5) + lines[at]
        case 3:
            lines[at] = lines[at][rng.randint(1, 4) :]
        case 4:
            lines[at], lines[other] = lines[other], lines[at]
        case 5:
            lines[at:at] = rng.choice(known.texts).split("\n")[other : other + rng.randint(1, 20)]
        case _:
            key, colon, _ = lines[at].partition(":")
            lines[at] = key + colon + " " + _plain(rng, known)
    return "\n".join(lines)


def _in_braces(rng: Random, text: str, known: Corpus) -> str:
    """Put other words between braces that are there."""
    starts = [i for i in range(len(text) - 1) if text[i : i + 2] in ("{{", "{%")]
    if not starts:
        return _insert(rng, text, known)
    at = rng.choice(starts)
    end = text.find("}", at)
    if rng.random() < 0.5:
        return text[:at] + _jinja(rng, known) + text[end + 2 :]
    inner = text[at + 2 : end - 1].split(" ")
    inner[rng.randrange(len(inner))] = rng.choice((*JINJA, *known.names))
    return text[: at + 2] + " ".join(inner) + text[end - 1 :]


_TEXT_CHANGES = (_delete, _insert, _double, _swap, _cut, _lines, _lines, _lines, _in_braces)


# -- data -----------------------------------------------------------------------------------------


def shaken(rng: Random, data: Any, known: Corpus) -> Any:
    """Change values, keys and shapes of data."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        found = list(places(data))
        if not found:
            return data
        holder, key = rng.choice(found)
        value = holder[key]
        match rng.randrange(10):
            case 0 | 1 if isinstance(holder, dict):
                holder[key] = fitting(rng, str(key), known)
            case 2:
                holder[key] = _any(rng, known)
            case 3 if isinstance(holder, dict):
                holder[near(rng, str(key))] = holder.pop(key)
            case 4 | 5:
                inner = value if isinstance(value, dict) else holder
                if isinstance(inner, dict):
                    extra = rng.choice(known.keys)
                    inner[extra] = fitting(rng, extra, known)
            case 6 if isinstance(value, str):
                holder[key] = _changed_text(rng, value, known)
            case 7:
                del holder[key]
            case 8:
                holder[key] = rng.choice(([value], {"prompt": value}, {str(key): value}, None))
            case _ if isinstance(value, str):
                holder[key] = damaged(rng, value or "x", known)
    return data


def fitting(rng: Random, key: str, known: Corpus) -> Any:
    """Give a value that stands under such a key elsewhere, or a hostile one."""
    if rng.random() < 0.2:
        return _any(rng, known)
    return json.loads(json.dumps(rng.choice(known.by_key.get(key, [None]))))


def _any(rng: Random, known: Corpus) -> Any:
    match rng.randrange(9):
        case 0:
            return json.loads(json.dumps(rng.choice(rng.choice(list(known.by_key.values())))))
        case 1:
            return _jinja(rng, known)
        case 2:
            return expression(rng, known)
        case 3:
            return rng.choice(PATTERNS)
        case 4:
            return _deep(rng.choice((3, 12, 25, 60)), rng.random() < 0.5)
        case 5:
            return rng.choice((*RANGES, *KINDS))
        case 6:
            return rng.choice(SIGNS)
        case 7:
            return [rng.choice(VALUES) for _ in range(rng.choice((0, 1, 3, 60)))]
        case _:
            return rng.choice(VALUES)


def _plain(rng: Random, known: Corpus) -> str:
    value = _any(rng, known)
    return value if isinstance(value, str) else json.dumps(value)


def _changed_text(rng: Random, text: str, known: Corpus) -> str:
    words = text.split(" ")
    at = rng.randrange(len(words) + 1)
    put = _jinja(rng, known) if rng.random() < 0.8 else rng.choice(SIGNS)
    return " ".join((*words[:at], put, *words[at + rng.randrange(2) :]))


def near(rng: Random, word: str) -> str:
    """Misspell a word."""
    at = rng.randrange(len(word) + 1)
    changes = (
        word[:at] + word[at + 1 :],
        word[:at] + rng.choice(string.ascii_lowercase) + word[at:],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        word.upper(),
        word + "s",
        word.replace("_", "-"),
        rng.choice(SIGNS),
    )
    return rng.choice(changes)


def _deep(depth: int, as_list: bool) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value] if as_list else {"a": value}
    return value


def dumped(rng: Random, data: Any) -> str:
    """Write data as YAML: in one line, in flow style, or as people write it."""
    match rng.randrange(4):
        case 0:
            text = json.dumps(data)
        case 1 | 2:
            text = json.dumps(data, indent=1, ensure_ascii=False)
        case _:
            wide = rng.choice((40, 100, 1000))
            try:
                text = yaml.dump(data, Dumper=DUMPER, width=wide, sort_keys=False)
            except UnicodeEncodeError:  # half a character: YAML has no way to write it
                text = json.dumps(data)
    return text.replace(DIGITS, "9" * 6000)


# -- texts and conditions -------------------------------------------------------------------------


def expression(rng: Random, known: Corpus) -> str:
    """Make a condition out of names, operators and what is not allowed."""
    if rng.random() < 0.1:
        return rng.choice(HUGE_EXPRESSIONS)
    parts = []
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        name = rng.choice(known.names)
        parts.append(name if rng.random() < 0.6 else f"{name}{rng.choice(TAILS)}")
        parts.append(rng.choice(OPERATORS))
    return " ".join(parts[: rng.choice((-1, -1, len(parts)))])


def _jinja(rng: Random, known: Corpus) -> str:
    inner = expression(rng, known)
    name = rng.choice(known.names)
    forms = (
        f"{{{{ {inner} }}}}",
        f"{{{{ {name} }}}}",
        f"{{% if {inner} %}}yes{{% endif %}}",
        f"{{% for x in {name} %}}{{{{ x }}}}{{{{ x.{name} }}}}{{% endfor %}}",
        f"{{% for x in {name} %}}{{% for y in x %}}{{{{ y[{name}] }}}}{{% endfor %}}{{% endfor %}}",
        f"{{% {inner} %}}",
        rng.choice(JINJA),
        f"{{{{ snippets.{name} }}}}",
        f"{{{{ {name}[{inner}] }}}}",
    )
    return rng.choice(forms)
