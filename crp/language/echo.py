"""Whether an answer says the question again, and how much it says besides. Pure and linear."""

from __future__ import annotations

import re
from itertools import islice

from pydantic import JsonValue

from crp.language.scope import MOST_CHARS, Answer, Finding, Scope
from crp.language.show import show
from crp.language.words import clean, content, runs, stems, words

LONG_TASK = 600
"""Characters; a longer task holds material to work on, not only a question."""

MOST_TEXTS = 50
FEWEST_WORDS = 4
"""A shorter entry of a list is the name of something, not a text."""

_FILLER = re.compile(
    r"(?i)\b(?:it is (?:important|worth|essential) (?:to note|to remember|noting|mentioning)|"
    r"in (?:conclusion|summary)|there are (?:many|several|various) (?:factors|things|aspects)|"
    r"this is an? (?:very )?(?:important|interesting|complex|good|great) (?:topic|question)|"
    r"i hope (?:this|that) helps|(?:please )?let me know|feel free to|needless to say|"
    r"as (?:mentioned|stated|said) (?:above|before|earlier)|each (?:one )?has its own|"
    r"(?:depends|depending) on (?:many|several|various) (?:factors|things))\b"
)
_HEADING = re.compile(
    r"(?m)^[ \t]{0,8}(?:#{1,6}[ \t]+(?P<marked>.+)|(?P<label>[^\n:]{1,60}):[ \t]*)$"
)


def no_echo(answer: Answer, value: JsonValue) -> Finding:
    """Share of the answer that is not the question said again.

    A sentence is an echo when most of its runs of three words stand in the question. An answer
    that only shuffles the question's words has too few words of its own. A first sentence that
    takes up the question costs nothing.
    """
    if not answer.words:
        return Finding(0.0)
    known = _asked(answer)[1]
    echoed = [sentence for sentence in answer.sentences if is_echo(sentence, answer)]
    share = sum(len(words(sentence)) for sentence in echoed) / len(answer.words)
    score = 1 - max(0.0, share - 0.3) / 0.7
    own = set(content(answer.stems))
    detail = f"{share:.0%} of it is the question" if score < 1 else ""
    if len(answer.words) >= 6 and own and len(own - known) / len(own) < 0.25 * score:
        score = len(own - known) / len(own) / 0.25
        detail = f"{len(own - known)} of its {len(own)} words are not in the question"
    return Finding(score, detail, "Do not repeat the question. Write the answer.")


def is_echo(sentence: str, answer: Answer) -> bool:
    """Tell whether most of a sentence's runs of three words stand in the question."""
    own = list(runs(stems(sentence), 3))
    return bool(own) and sum(run in _asked(answer)[0] for run in own) >= 0.7 * len(own)


def _asked(answer: Answer) -> tuple[set[tuple[str, ...]], set[str]]:
    """Give the runs of three words, and the words, of what an answer must not just repeat."""
    if answer.asked is None:
        parts = [stems(part) for part in questions(answer.scope)]
        answer.asked = (
            {run for part in parts for run in runs(part, 3)},
            {word for part in parts for word in part},
        )
    return answer.asked


def questions(scope: Scope) -> list[str]:
    """Give what an answer must not just repeat: the task, the instruction, the facts' headings.

    Facts and earlier outputs in the prompt are material, and so are the middle of a long task and
    the texts that a list took out of it: who rewrites a sentence says most of it again.
    """
    facts = clean(scope.facts)
    headings = [m["marked"] or m["label"] for m in islice(_HEADING.finditer(facts), 500)]
    task = _without_texts(clean(scope.task), scope)
    if len(task) > LONG_TASK:
        return [task[: LONG_TASK // 2], task[-LONG_TASK // 2 :], *headings]
    return [task, *headings, *_instruction(scope, facts)]


def _without_texts(task: str, scope: Scope) -> str:
    """Take out of a task the entries of lists that are texts and not names."""
    lists = (value for name, value in scope.names.items() if name not in scope.outputs)
    texts = {entry for value in lists if isinstance(value, list) for entry in value[:MOST_TEXTS]}
    for entry in sorted(map(str, texts), key=len, reverse=True):
        if len(entry.split()) >= FEWEST_WORDS:
            task = task.replace(entry, "\n")
    return task


def _instruction(scope: Scope, facts: str) -> list[str]:
    if not scope.prompt:
        return []
    material = set(map(str.strip, facts.split("\n")))
    for output in scope.outputs.values():
        material |= set(map(str.strip, show(output).split("\n")))
    lines = clean(scope.prompt)[:MOST_CHARS].split("\n")
    return [line for line in lines if line.strip() not in material]


def said(answer: Answer) -> int:
    """Count the words of the sentences that say something: no echo, no repetition, no filler."""
    kept: dict[str, int] = {}
    for sentence in answer.sentences:
        found = words(sentence)
        if not is_echo(sentence, answer) and not _FILLER.search(sentence):
            kept[" ".join(found)] = len(found)
    return sum(kept.values())
