"""Keeps data inside its part of a prompt: what stands in it can not look like what stands around.

A prompt has parts that begin with a label (`Facts:`, `Task:`, `Important:`), and a server puts each
message between marks of its own, which llama.cpp and others also read where they stand inside of a
text. A document, an example or an answer may hold both, by chance or on purpose:

- a line of data that begins like a part is quoted: `> Task: ...`
- a mark of a chat format is broken with a blank: `< |im_start|>`

so no data can end its part, begin another one, or begin a message of another role. Text without
such lines and marks, which is nearly all text, stays as it is to the byte. Pure and linear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from crp.language.sandbox import Entry

LABELS = ("Facts:", "Task:", "Important:")
"""What the parts of our own prompts begin with."""
_PART = re.compile(
    r"(^|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])([^\S\n]{0,40})(?=Facts:|Task:|Important:)"
)

_MARKS = re.compile(
    r"([<\[])(?="
    r"[|｜][^\s<>]{1,60}[|｜]>"  # ChatML, Llama 3, Phi, Granite; DeepSeek writes them wide
    r"|/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"  # Mistral
    r"|</?SYS>>|/?s>"  # Llama 2
    r"|(?:start|end)_of_turn>"  # Gemma
    r"|(?:bos|eos|pad|unk|sep|cls|mask)>"
    r")"
)
_HINTS = ("|>", "｜>", "INST]", "_PROMPT]", "_TOOLS]", "_CALLS]", "_RESULTS]", "SYS>>", "s>")
_MORE_HINTS = ("_turn>", "pad>", "unk>", "sep>", "mask>")


def inert(text: str) -> str:
    """Break the marks of chat formats: nothing in a text is read as the begin of a message."""
    if not any(hint in text for hint in (*_HINTS, *_MORE_HINTS)):
        return text
    return _MARKS.sub(r"\1 ", text)


def quoted(text: str) -> str:
    """Quote the lines of data that begin like a part of the prompt."""
    if not any(label in text for label in LABELS):
        return text
    return _PART.sub(r"\1\2> ", text)


def data(text: str) -> str:
    """Make a text fit to be a part of a prompt, whoever wrote it."""
    return inert(quoted(text))


def names(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Quote what a template's text may print: all but the task, which is the user's own."""
    return {name: value if name == "task" else _inside(value) for name, value in given.items()}


def _inside(value: JsonValue) -> JsonValue:
    if isinstance(value, Entry):
        return Entry(quoted(value), quoted(value.key))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        # Keys are printed too. The items that they are found by are quoted in the same way.
        return {quoted(key): _inside(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_inside(entry) for entry in value]
    return value
