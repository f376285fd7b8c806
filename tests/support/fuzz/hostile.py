"""What the fuzzer puts in: values, signs, texts and shapes that something has fallen over once."""

from __future__ import annotations

from random import Random
from typing import Any


def _several(text: str) -> list[str]:
    """Read a pool of words: one in each line, or several with a broken bar between them."""
    return [word for line in text.strip().splitlines() for word in line.split(" ¦ ")]


# -- values ---------------------------------------------------------------------------------------

DIGITS = "@@digits@@"
"""Stands for a number with more digits than Python reads."""

SIGNS = ["é", "😀", "\u202e", "\x07", "\ud800", "\u0000", "\u2028", "ǅ", "ß" * 300, "a" * 30_000]
SIGNS += ["word " * 6000, "- x\n" * 3000, "\n" * 2000, "İ" * 100, "\ufffe", "\u0301" * 50, "½"]
VALUES: list[Any] = [None, True, False, "", " ", 0, -1, 1, 3, 51, 10**18, 10**30, 0.5, 1e308, -0.0]
VALUES += [float("inf"), float("nan"), DIGITS, [], {}, [[]], {"": ""}, "0x" + "f" * 40]
VALUES += _several("1e999 ¦ -.inf ¦ yes ¦ no ¦ null ¦ ~ ¦ items ¦ all ¦ none ¦ auto ¦ 1:30 ¦ 010")
RANGES = _several("""
5-3 ¦ 0-0 ¦ 3-7 ¦ 1+ ¦ 999999999 ¦ 9999999999- ¦ 1-999999999 ¦ -- ¦ -3--1 ¦ 3 - 7 ¦ 1- ¦ + ¦ ٣-٧
1e3-1e9 ¦ 0.5 ¦ 0x10 ¦ 3-7-9
""")
KINDS = _several("""
text ¦ line ¦ bullets 3-7 ¦ bullets 7-3 ¦ bullets 0 ¦ bullets 999999999 ¦ number 0-1 ¦ yes_no ¦ json
number -5--1 ¦ number 0-1e999 ¦ integer 1-3 ¦ list 1-5 ¦ numbered 2 ¦ code ¦ table ¦ fields ¦ choice
schema ¦ text? ¦ one of a | b ¦ one of ¦ list of text ¦ one of {{ items }} ¦ date ¦ yes_no 1 ¦ text
""")
KINDS += ["number " + "9" * 400, "one of " + "a | " * 900]
PATTERNS = _several(r"""
(a+)+$ ¦ a{1000} ¦ (a{1000}){1000} ¦ ((a{100}){100}){100} ¦ [ ¦ (?=x) ¦ \1 ¦ \p{Greek} ¦ \C ¦ a{,}
a** ¦ \ ¦ (?P<n>x)(?P<n>y) ¦ \pL{500} ¦ (\w+ ){200} ¦ (?s).{1000}.{1000} ¦ (.{0,30}\w){30}
""")
PATTERNS += [".*" * 60, "(" * 1200 + ")" * 1200, "(?i)" + "x" * 9000, "[^\n]{1,1000}" * 20]
PATTERNS += [r"[\x{0}-\x{10FFFF}]" * 300, "(|)*" * 300, "(x" * 300 + ")?" * 300, "\ud800"]
PATTERNS += ["|".join(map(str, range(3000))), "a" + "? " * 60_000 + "b"]

# -- texts and conditions -------------------------------------------------------------------------

YAML_SIGNS = [*"\n\n  ::--[]{},\"'|>#&*!?%@`~\t\0.=x", ": ", "- ", "|\n", ">-\n", "---\n", "...\n"]
YAML_SIGNS += ["&a ", "*a", "!!map ", "!x ", "<<: ", "? ", "%YAML 1.2\n", "\r", "\x85", "\ufeff"]
JINJA = _several("""
{{ ¦ }} ¦ {% ¦ %} ¦ {# ¦ #} ¦ {%- ¦ -%} ¦ {{- ¦ {% raw %} ¦ {% endraw %} ¦ {% if ¦ | ¦ '
{% else %} ¦ {% for x in items %} ¦ {% endfor %} ¦ {% endif %} ¦ {% set a = 1 %} ¦ length
{% include 'x' %} ¦ {{ ''.__class__ }} ¦ {{ items() }} ¦ {{ 'a' * 9**9 }} ¦ {{ x if }} ¦ " ¦ \\
{{ 3 - 1 }} ¦ loop.index
""")
JINJA += ["{% if a %}" * 120, "{% for x in items %}" * 40, "{{ x }}" * 900]
NAMES = _several("""
task ¦ context ¦ item ¦ items ¦ index ¦ previous ¦ feedback ¦ critique ¦ complexity ¦ capability ¦ x
answer ¦ entry ¦ sheet ¦ facts ¦ loop ¦ snippets ¦ draft ¦ nobody
""")
TAILS = _several("""
.answer ¦ [item] ¦ [0] ¦ .x.y.z ¦ [item].sure ¦ () ¦ [nobody] ¦ [-9] ¦ [1:2] ¦ .items ¦ ['a']
| nope ¦ | length ¦ | join(', ') ¦ | first ¦ | default('x') ¦ | numbers ¦ | value('a') ¦ | json
| words(3) ¦ | words('x') ¦ | join(1, 2) ¦ | length | length ¦ | missing(task) ¦ | quote ¦ | bullets
| last
""")
OPERATORS = _several("""
and ¦ or ¦ not ¦ in ¦ not in ¦ == ¦ != ¦ < ¦ >= ¦ + ¦ - ¦ * ¦ ** ¦ ~ ¦ / ¦ if ¦ else ¦ is ¦ | ¦ ,
. ¦ ( ¦ ) ¦ [ ¦ ] ¦ == 'no' ¦ > 3 ¦ - -
""")
HUGE_EXPRESSIONS = ["(" * n + "x" + ")" * n for n in (30, 300, 3000)]
HUGE_EXPRESSIONS += ["not " * n + "x" for n in (50, 900, 4000)] + ["-" * 3000 + "1"]
HUGE_EXPRESSIONS += ["x" + ".a" * 4000, "x" + "[0]" * 3000, "x" + " | length" * 900, "9" * 5000]
HUGE_EXPRESSIONS += [
    "1 < " * 1500 + "2",
    "x and " * 2000 + "x",
    "x + " * 2000 + "1",
    "10 ** 9 ** 9",
]
HUGE_EXPRESSIONS += ["1e999", "'" + "a" * 9000 + "'", "x if y else " * 900 + "z", "[" * 400]
HUGE_EXPRESSIONS += ["{'a': " * 200 + "1" + "}" * 200]
UNITS = _several("""
{{task}} ¦ {% if task %}x{% endif %} ¦ {{ nobody }} nobody ¦ {{ s0 }} ¦ {{ snippets.a }}
{% if x %} ¦ {{ task | default(context) | upper | trim }} ¦ {% for x in s0 %}{{ x }}{% endfor %}
{{ {{ ¦ }} ¦ x
{# x #} ¦ {{ task[item] }} ¦ {% for x in task %} ¦ {{ 'x' }} ¦ {{ not not task }} ¦ 1 + ¦ word word.
""")
"""What a text of a giant is made of."""

# -- shapes ---------------------------------------------------------------------------------------

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
    "fields": [{"a": k} for k in KINDS] + [dict.fromkeys(NAMES, "text"), {}],
    "table": [["a", "{{ items }}"], "{{ items }}", [], ["a"] * 60],
    "choice": [["a", "b"], ["{{ items }}"], [], [""], "a | b"],
    "on_fail": [
        ["retry", {"model": "larger"}, {"use": "direct-question"}, "skip", "stop"],
        ["heavier"] * 50,
    ],
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


# -- whole files ----------------------------------------------------------------------------------


def odd(rng: Random) -> str:
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

_SAID = [
    "yes",
    "No.",
    "- a\n",
    "1. b\n",
    "| a | b |\n",
    "|---|---|\n",
    "{",
    "}",
    "[",
    "]",
    '"a": ',
    '"b"',
    ",",
]
_SAID += [
    "```json\n",
    "```",
    "<think>",
    "</think>",
    "Answer: ",
    "**",
    "# Head\n",
    "\n\n",
    " ",
    "I'm sorry, ",
    "x",
]
_SAID += [
    "3.5",
    "-7",
    "1e999",
    "NaN",
    "Infinity",
    "9" * 500,
    "1,000",
    "12/0",
    "½",
    "2 ^ 9 ^ 9",
    "3 * (4 + ",
    "%",
]
_SAID += [
    "é",
    "😀",
    "\u202e",
    "\x00",
    "\ud800",
    "\u2028",
    "null",
    "true",
    "TODO",
    "[name]",
    "lorem ipsum",
    "\\u00",
]
_SAID += [
    "price: 900 euros\n",
    "[1]",
    "{{ task }}",
    "{% for",
    "a b c. ",
    "The fir is a tree. ",
    "\t",
    "=",
    "round(1",
]
_SAID += [
    "10%",
    "min(",
    "max(1, 2)",
    "frac{1}{2}",
    "\\frac{1}{0}",
    "Step 1: ",
    "2024-02-30",
    "a=b;",
    "<|end|>",
]
_LONG = [
    "[",
    "{",
    '{"a":',
    "- a\n",
    "| a ",
    "(",
    "9",
    "a ",
    "a",
    "-",
    "1 + ",
    "\n",
    "1. ",
    "```\n",
    '"',
    "\\",
    "*",
    "_",
]
_LONG += [
    "yes no ",
    "x, ",
    "A, B and ",
    "word. ",
    "a\n\n",
    "# a\n",
    "ab ab ",
    "\u0301",
    "İ",
    "<think>",
    "1,",
    "½",
    "²",
]


def said(rng: Random) -> str:
    """Make an answer that no reader of answers expects."""
    if rng.random() < 0.06:
        unit = rng.choice(_LONG)
        size = rng.choice((300, 3_000, 3_000, 60_000))
        return rng.choice(("", "Answer: ")) + unit * (size // len(unit)) + rng.choice(_SAID)
    return "".join(rng.choice(_SAID) for _ in range(rng.choice((0, 1, 2, 4, 9, 30, 120))))
