"""Many templates out of one, each with texts of its own: what a cache knows is no help."""

from __future__ import annotations

import re
from pathlib import Path

LARGE = Path(__file__).parents[1] / "tests" / "language" / "examples" / "comparison.yaml"

_SHOWN = re.compile(r"(?<!one of )(\{\{[^{}]*\}\})(?!\"\])")
"""Every value in a text, but not where it stands for the entries of a list."""
_ASK = re.compile(r"^( *ask: [^{}\n]+)\.$", re.MULTILINE)
_LIMIT = re.compile(r"(length [<>]=? )(\d+)")
_NAME = re.compile(r"^template: .*$", re.MULTILINE)


def variants(text: str, count: int, start: int = 0) -> list[str]:
    """Give so many templates like this one, numbered from `start`; no two share a prompt, a
    condition or a check."""
    return [_variant(text, number) for number in range(start, start + count)]


def _variant(text: str, number: int) -> str:
    body, mark, tests = text.partition("\ntests:")
    body = _NAME.sub(f"template: variant-{number}", body)
    body = _SHOWN.sub(rf"\g<1>{number}", body)
    body = _ASK.sub(rf"\g<1> {number}.", body)
    body = _LIMIT.sub(lambda found: f"{found[1]}{int(found[2]) + number}", body)
    return body + mark + tests


def small(number: int) -> str:
    """Give a short template whose keywords, pattern and examples are its own."""
    word = _word(number)
    return f"""template: small-{number}
match:
  keywords: [{word}, sort {word}, about {word}s, {word} or not]
  patterns: ['\\b{word}s? (of|for) \\w+', '\\b(which|what) {word}\\b.*\\?']
  examples:
    - What is the best {word} for a school of {number} people?
    - Tell me which {word} a town hall should buy next year
    - List the parts of a {word} and say what each is for
  not_examples:
    - Write a poem about a {word}
    - Translate the word {word} into French
steps:
  look: Describe the {word} in {number + 3} words.
"""


def requests(count: int) -> list[str]:
    """Requests of which about half are for one of the small templates."""
    texts = []
    for number in range(count):
        word = _word(number % 200)
        texts.append(
            f"What should I know about the {word} of a village with {number} houses before the "
            "council decides which one it pays for, and who looks after it in winter?"
        )
    return texts


def _word(number: int) -> str:
    """A word that stands for a number: `bakedo`."""
    letters = ""
    for _ in range(3):
        number, digit = divmod(number, 60)
        letters += "bdfgklmnprst"[digit % 12] + "aeiou"[digit // 12]
    return letters
