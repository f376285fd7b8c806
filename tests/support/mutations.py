"""Broken templates, tests files and answers for the fuzzer: each one follows from a seed and a
number, so that a failure can be made again. Pure but for reading the shipped files once.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Random = random.Random


@dataclass(frozen=True)
class Case:
    """What is given to the loader."""

    text: str | bytes
    base: str = ""
    snippets: str = ""
    tests: str | bytes = ""


@dataclass
class Corpus:
    """The shipped templates and the examples of the tests, as texts and as data."""

    texts: list[str] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    snippets: str = ""
    by_key: dict[str, list[Any]] = field(default_factory=dict)
    """Values that stand under a key somewhere: they fit better than any other."""
    names: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def corpus() -> Corpus:
    """Read what is mutated."""
    shelf = ROOT / "templates"
    files = [p for p in sorted(shelf.glob("*.yaml")) if ".tests." not in p.name]
    files += sorted((ROOT / "tests" / "language" / "examples").glob("*.yaml"))
    found = Corpus(snippets=(shelf / "_snippets.yaml").read_text())
    for text in (path.read_text() for path in files if ".tests." not in path.name):
        data = yaml.load(text, LOADER)
        if "template" in data:
            found.texts.append(text)
            found.data.append(json.loads(json.dumps(data, default=str)))
    found.tests = [path.read_text() for path in sorted(shelf.glob("*.tests.yaml"))]
    found.tests += [yaml.dump(d["tests"], Dumper=DUMPER) for d in found.data if "tests" in d]
    for data in found.data:
        for holder, key in places(data):
            if isinstance(holder, dict):
                found.by_key.setdefault(key, []).append(holder[key])
    for key, values in FITTING.items():
        found.by_key.setdefault(key, []).extend(values)
    found.keys = sorted(found.by_key)
    steps = {name for d in found.data for name in [*d.get("steps", {}), *d.get("extract", {})]}
    found.names = sorted(steps) + NAMES
    return found


def case(known: Corpus, seed: int, number: int) -> Case:
    """Make a template with mistakes."""
    rng = Random(f"template {seed} {number}")
    return Case(_template(rng, known), snippets=known.snippets)


def bundle(known: Corpus, seed: int, number: int) -> Case:
    """Make a template with what belongs to it: another one below it, snippets, tests."""
    rng = Random(f"bundle {seed} {number}")
    text, base, snippets, tests = rng.choice(known.texts), "", known.snippets, ""
    match rng.randrange(4):
        case 0:
            tests = _damaged(rng, rng.choice(known.tests), known)
        case 1:
            tests = _dumped(rng, _shaken(rng, yaml.load(rng.choice(known.tests), LOADER), known))
        case 2:
            base = rng.choice((text, _template(rng, known)))
            text = f"extends: {_name(rng, base)}\n" + rng.choice((_patch(rng, known), text))
        case _:
            snippets = _damaged(rng, snippets, known)
            text = _template(rng, known)
    return Case(text, base, snippets, tests)


def raw(known: Corpus, seed: int, number: int) -> Case:
    """Make bytes that are hardly a template."""
    rng = Random(f"bytes {seed} {number}")
    text = rng.choice(known.texts).encode()
    match rng.randrange(8):
        case 0:
            return Case(rng.randbytes(rng.choice((0, 1, 7, 60, 4000))))
        case 1:
            at = rng.randrange(len(text))
            return Case(text[:at] + rng.randbytes(rng.randint(1, 8)) + text[at + 1 :])
        case 2:
            coding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le"))
            return Case(text.decode().encode(coding))
        case 3:
            wide = text + "é€😀".encode() * 3
            return Case(wide[: rng.randrange(len(wide))])
        case 4:
            return Case(_odd(rng).encode("utf-8", "surrogatepass"))
        case 5:
            lines = text.split(b"\n")
            return Case(rng.choice((b"\r", b"\r\n", b"\xc2\x85", b"\xe2\x80\xa8")).join(lines))
        case 6:
            return Case("".join(rng.choice(YAML_SIGNS) for _ in range(rng.randint(1, 400))))
        case _:
            at = rng.randrange(len(text))
            return Case(text[:at] + _odd(rng).encode("utf-8", "surrogatepass") + text[at:])


# -- one template -------------------------------------------------------------------------------


def _template(rng: Random, known: Corpus) -> str:
    index = rng.randrange(len(known.texts))
    if rng.random() < 0.45:
        return _damaged(rng, known.texts[index], known)
    data = json.loads(json.dumps(known.data[index]))
    return _dumped(rng, _shaken(rng, data, known))


def _damaged(rng: Random, text: str, known: Corpus) -> str:
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


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Give every place of nested data: what holds it, and its key or number."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(pairs):
        yield data, key
        if isinstance(value, dict | list):
            yield from places(value)


def _shaken(rng: Random, data: Any, known: Corpus) -> Any:
    """Change values, keys and shapes of data."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        found = list(places(data))
        if not found:
            return data
        holder, key = rng.choice(found)
        value = holder[key]
        match rng.randrange(10):
            case 0 | 1 if isinstance(holder, dict):
                holder[key] = _fitting(rng, str(key), known)
            case 2:
                holder[key] = _any(rng, known)
            case 3 if isinstance(holder, dict):
                holder[near(rng, str(key))] = holder.pop(key)
            case 4 | 5:
                inner = value if isinstance(value, dict) else holder
                if isinstance(inner, dict):
                    extra = rng.choice(known.keys)
                    inner[extra] = _fitting(rng, extra, known)
            case 6 if isinstance(value, str):
                holder[key] = _changed_text(rng, value, known)
            case 7:
                del holder[key]
            case 8:
                holder[key] = rng.choice(([value], {"prompt": value}, {str(key): value}, None))
            case _ if isinstance(value, str):
                holder[key] = _damaged(rng, value or "x", known)
    return data


def _fitting(rng: Random, key: str, known: Corpus) -> Any:
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


def _patch(rng: Random, known: Corpus) -> str:
    """Make what a template may lay over another one."""
    data = json.loads(json.dumps(rng.choice(known.data)))
    kept = rng.sample(sorted(data), k=min(len(data), rng.randint(1, 4)))
    patch = {key: data[key] for key in kept} | {"template": "child"}
    for holder, key in list(places(patch)):
        if rng.random() < 0.05:
            holder[key] = None
    return _dumped(rng, _shaken(rng, patch, known))


def _name(rng: Random, text: str) -> str:
    found = [line[9:].strip() for line in text.splitlines() if line.startswith("template:")]
    return found[0] if found and rng.random() < 0.9 else "other"


def _dumped(rng: Random, data: Any) -> str:
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


DIGITS = "@@digits@@"
YAML_SIGNS = [*"\n\n  ::--[]{},\"'|>#&*!?%@`~\t\0.=", ": ", "- ", "|\n", ">-\n", "---\n", "...\n"]
YAML_SIGNS += ["&a ", "*a", "!!map ", "!x ", "<<: ", "? ", "%YAML 1.2\n", "\r", "\x85", "\ufeff", "x"]
JINJA = ["{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "{{-", "{% raw %}", "{% endraw %}"]
JINJA += ["{% for x in items %}", "{% endfor %}", "{% if", "{% else %}", "{% endif %}", "{% set a = 1 %}"]
JINJA += ["{% include 'x' %}", "{{ ''.__class__ }}", "{{ items() }}", "{{ 'a' * 9**9 }}", "{{ x if }}"]
JINJA += ["{% if a %}" * 120, "{% for x in items %}" * 40, "{{ x }}" * 900, "|", "length", "'", '"', "\\"]
SIGNS = ["é", "😀", "\u202e", "\x07", "\ud800", "\u0000", "\u2028", "ǅ", "ß" * 300, "a" * 30000]
SIGNS += ["word " * 6000, "- x\n" * 3000, "\n" * 2000, "İ" * 100, "\ufffe", "\u0301" * 50, "٣-٧", "½"]
VALUES: list[Any] = [None, True, False, "", " ", 0, -1, 1, 3, 51, 10**18, 10**30, 0.5, 1e308, -0.0]
VALUES += ["1e999", float("inf"), float("nan"), "-.inf", DIGITS, "0x" + "f" * 40, "yes", "no", "null"]
VALUES += ["~", "items", "item", "all", "none", "auto", "2026-11-23", "1:30", "010", {}, [], [[]], {"": ""}]
NAMES = ["task", "context", "item", "items", "index", "previous", "feedback", "critique", "complexity"]
NAMES += ["capability", "answer", "entry", "sheet", "facts", "loop", "snippets", "draft", "nobody", "x"]
TAILS = [".answer", "[item]", "[0]", ".x.y.z", " | length", " | join(', ')", " | first", "[item].sure"]
TAILS += [" | default('x')", " | numbers", " | value('a')", " | json", " | nope", "()", "[nobody]", "[-9]"]
TAILS += [" | words(3)", " | words('x')", " | join(1, 2)", "[1:2]", ".items", "['a']", " | length | length"]
OPERATORS = ["and", "or", "not", "in", "not in", "==", "!=", "<", ">=", "+", "-", "*", "**", "~", "/"]
OPERATORS += ["if", "else", "is", "|", ",", ".", "(", ")", "[", "]", "== 'no'", "> 3", "", "", "- -"]
HUGE_EXPRESSIONS = ["(" * n + "x" + ")" * n for n in (30, 300, 3000)]
HUGE_EXPRESSIONS += ["not " * n + "x" for n in (50, 900, 4000)] + ["-" * 3000 + "1", "[" * 400 + "]" * 400]
HUGE_EXPRESSIONS += ["x" + ".a" * 4000, "x" + "[0]" * 3000, "x" + " | length" * 900, "x + " * 2000 + "1"]
HUGE_EXPRESSIONS += ["1 < " * 1500 + "2", "x and " * 2000 + "x", "9" * 5000, "1e999", "'" + "a" * 9000 + "'"]
HUGE_EXPRESSIONS += ["10 ** 9 ** 9", "x if y else " * 900 + "z", "{'a': " * 200 + "1" + "}" * 200]
RANGES = ["5-3", "0-0", "3-7", "1+", "999999999", "9999999999-", "1-999999999", "--", "-3--1", "3 - 7", "1-"]
RANGES += ["1e3-1e9", "0.5", "0x10", " ", "3-7-9", "+", "٣-٧"]
KINDS = ["text", "line", "bullets 3-7", "bullets 7-3", "bullets 0", "bullets 999999999", "number 0-1"]
KINDS += ["number -5--1", "number 0-1e999", "number " + "9" * 400, "integer 1-3", "list 1-5", "numbered 2"]
KINDS += ["yes_no", "json", "code", "table", "fields", "choice", "schema", "text?", "one of a | b", "one of"]
KINDS += ["list of text", "one of {{ items }}", "one of " + "a | " * 900, "date", "markdown 3", "yes_no 1"]
PATTERNS = ["(a+)+$", "a{1000}", "(a{1000}){1000}", "((a{100}){100}){100}", "[", "(?=x)", r"\1", r"\p{Greek}"]
PATTERNS += [".*" * 60, "(" * 1200 + ")" * 1200, "(?i)" + "x" * 9000, "[^\n]{1,1000}" * 20, r"\C", "a{,}", "\\"]
PATTERNS += [r"[\x{0}-\x{10FFFF}]" * 300, "(?P<n>x)(?P<n>y)", r"\pL{500}", "a**", "(|)*" * 300, r"(\w+ ){200}"]
PATTERNS += ["(x" * 300 + ")?" * 300, r"(?s).{1000}.{1000}", "|".join(map(str, range(3000))), "\ud800"]
SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]},
    {"type": "array", "items": {"type": "number", "minimum": 5, "maximum": 1}, "minItems": 9},
    {"type": ["string", "null"], "maxLength": -1},
    {"anyOf": [{"type": "integer"}, {"enum": [1, "a", None, [1], {"b": 2}]}]},
    {"$ref": "#"},
    {"type": "object", "additionalProperties": {"anyOf": [{"const": 1e308}, {"const": None}]}},
    {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": {}}}},
    {"enum": []},
    {"const": float("inf")},
    {"anyOf": [{"anyOf": [{"anyOf": [{"type": "string"}]}]}] * 30},
    {"type": "integer", "minimum": 10**30},
    {"pattern": "(a+)+$"},
]
FITTING: dict[str, list[Any]] = {
    "samples": [1, 3, 9, 10],
    "vote": ["answer", "winner", "x"],
    "fresh": ["yes", True],
    "order": ["in_sequence", "at_once", "highest", "lowest"],
    "when": ["items | length > 1", "complexity >= 3", "capability >= 1", "answer == 'yes'"],
    "until": ["critique == 'yes'", "critique.ok == 'yes'", "true"],
    "repeat": [
        {"until": "critique == 'yes'", "max": 2, "critique": {"prompt": "ok?", "output": "yes_no"}},
        {"until": "previous", "max": 5},
    ],
    "calculate": ["{{ task }}", "1 + 2", "{{ 3 - 1 }} * 4", "x"],
    "pick": ["facts", "items", {"from": "facts", "top": 1}, {"from": "items", "where": "entry"}],
    "by": ["entry | length", "sheet[entry].price", 1, 3, -4],
    "where": ["'a' in entry", "entry.x > 3"],
    "use": ["direct-question", {"template": "comparison", "task": "{{ task }}", "inputs": {}}],
    "judge": ["Is it good?", "{{ item }}?"],
    "expr": ["answer | length < 9", "x == 1", "true"],
    "agrees_with": ["answer", "draft", "x"],
    "matches": [*PATTERNS],
    "patterns": [[p] for p in PATTERNS],
    "words": [*RANGES],
    "lines": [*RANGES],
    "output": [*KINDS, *({"schema": s} for s in SCHEMAS), {"choice": ["a", "b"]}],
    "schema": [*SCHEMAS],
    "fields": [{"a": k} for k in KINDS] + [{k: "text" for k in NAMES}, {}],
    "table": [["a", "{{ items }}"], "{{ items }}", [], ["a"] * 60],
    "choice": [["a", "b"], ["{{ items }}"], [], [""], "a | b"],
    "on_fail": [["retry", {"model": "larger"}, {"use": "direct-question"}, "skip", "stop"], ["heavier"] * 50],
    "extends": ["comparison", "x"],
    "as": ["thing", "item", "task"],
    "for_each": ["items", "parts", "x"],
    "max_tokens": [1, 100_000, 10**9],
    "snippets": [{"a": "{{ snippets.a }}"}, {"a": "x" * 20_000}],
    "parses": ["python", "json", "x"],
    "facts": ["all", "none", "{{ item }}", "{{ context }}"],
    "covers": ["items", "task", ["a", "b"]],
    "limits": [{"calls": 1, "items": 50, "tokens": 1}],
}


def _odd(rng: Random) -> str:
    """Make a text that some reader of YAML has fallen over."""
    count = rng.choice((10, 25, 1000, 30_000, 120_000))
    forms = (
        "[" * count,
        "{" * count,
        "{a: " * min(count, 60_000),
        "- " * min(count, 60_000),
        "? " * min(count, 60_000),
        "a: " * min(count, 60_000),
        "&a [*a]\n",
        "&a a: *a",
        "!!python/object:os.system x\n",
        "a: 1\n" * min(count, 40_000),
        "\n".join(f"k{n}: v" for n in range(min(count, 25_000))),
        "x" * count,
        "'" + "y" * count,
        '"\\u0000\\x41\\UFFFFFFFF"',
        '"' + "\\n" * min(count, 100_000) + '"',
        "|" + "\n  z" * min(count, 60_000),
        "#" * count,
        "\t" * count,
        "%TAG ! x\n---\n",
        "--- a\n--- b\n",
        ": " * min(count, 60_000),
        "\ufeff" * 9,
        "template: t\nsteps: {a: '" + "{{ x }}" * min(count, 20_000) + "'}",
        "template: t\nsteps:\n" + "".join(f"  s{n}: x\n" for n in range(min(count, 9_000))),
        "template: t\nmatch: [" + "k, " * min(count, 19_000) + "]\nsteps: {a: x}",
    )
    return rng.choice(forms)


# -- what models write ----------------------------------------------------------------------------

_SAID = ["yes", "No.", "- a\n", "1. b\n", "| a | b |\n", "|---|---|\n", "{", "}", "[", "]", '"a": ', '"b"', ","]
_SAID += ["```json\n", "```", "<think>", "</think>", "Answer: ", "**", "# Head\n", "\n\n", " ", "I'm sorry, ", "x"]
_SAID += ["3.5", "-7", "1e999", "NaN", "Infinity", "9" * 500, "1,000", "12/0", "½", "2 ^ 9 ^ 9", "3 * (4 + ", "%"]
_SAID += ["é", "😀", "\u202e", "\x00", "\ud800", "\u2028", "null", "true", "TODO", "[name]", "lorem ipsum", "\\u00"]
_SAID += ["price: 900 euros\n", "[1]", "{{ task }}", "{% for", "a b c. ", "The fir is a tree. ", "\t", "=", "round(1"]
_SAID += ["10%", "min(", "max(1, 2)", "frac{1}{2}", "\\frac{1}{0}", "Step 1: ", "2024-02-30", "a=b;", "<|end|>"]
_LONG = ["[", "{", '{"a":', "- a\n", "| a ", "(", "9", "a ", "a", "-", "1 + ", "\n", "1. ", "```\n", '"', "\\", "*", "_"]
_LONG += ["yes no ", "x, ", "A, B and ", "word. ", "a\n\n", "# a\n", "ab ab ", "\u0301", "İ", "<think>", "1,", "½", "²"]


def said(rng: Random) -> str:
    """Make an answer that no reader of answers expects."""
    if rng.random() < 0.06:
        unit = rng.choice(_LONG)
        size = rng.choice((300, 3_000, 3_000, 60_000))
        return rng.choice(("", "Answer: ")) + unit * (size // len(unit)) + rng.choice(_SAID)
    return "".join(rng.choice(_SAID) for _ in range(rng.choice((0, 1, 2, 4, 9, 30, 120))))
