"""The text of a new template: a small one that works, a copy, or one that extends another."""

from __future__ import annotations

import re

SCHEMA = "template.schema.json"
MODELINE = f"# yaml-language-server: $schema=./{SCHEMA}"
NAME = re.compile(r"[a-z][a-z0-9-]{0,59}")

_SMALL = """\
{modeline}
format: 1
template: {name}
title: {words}
version: 0.1.0
match: [{keyword}]

extract:
  items: Which things does the request name? Write only their names.

steps:
  notes:
    for_each: items
    prompt: Write three short facts about {{{{ item }}}} that help with this request.
    output: bullets 1-5
"""

_EXTENDING = """\
{modeline}
format: 1
template: {name}
extends: {base}
title: {words}
version: 0.1.0

match: [{keyword}]

# All else is as in {base} (`crp templates show {base}`). Write here what is different:
# steps:
#   a_step:
#     prompt: another text
#   another_step: null   # leaves it out
"""


def small(name: str) -> str:
    """A template of one list and one step, that can be run as it is."""
    return _SMALL.format(modeline=MODELINE, **_words(name))


def extending(name: str, base: str) -> str:
    """A template that is another one but for what it says itself."""
    return _EXTENDING.format(modeline=MODELINE, base=base, **_words(name))


def copied(name: str, text: str) -> str:
    """The text of another template under a new name."""
    renamed = re.sub(r"(?m)^template:.*$", f"template: {name}", text, count=1)
    return renamed if renamed.startswith("# yaml-language-server") else f"{MODELINE}\n{renamed}"


def nearest_name(given: str) -> str:
    """A name that may be used instead of one that may not; empty when nothing is left of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-0123456789")
    return plain[:60].rstrip("-")


def _words(name: str) -> dict[str, str]:
    words = name.replace("-", " ").strip()
    keyword = words if re.fullmatch(r"[a-z][a-z ]*", words) else f'"{words}"'
    return {"name": name, "words": words.capitalize(), "keyword": keyword}
