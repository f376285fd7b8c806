"""How a prompt is shown: coloured by origin on a terminal, labelled in a pipe."""

from __future__ import annotations

import sys
from typing import Any

from crp.authoring.preview import Preview
from crp.cli.terminal import clean, console, lively, out

COLOURS = {
    "system": "magenta",
    "facts": "green",
    "task": "cyan",
    "help": "yellow",
    "examples": "blue",
    "instruction": "bold",
    "output": "bright_black",
    "reminder": "red",
}
"""By origin; the legend has the same order."""

LEGEND = {
    "system": "the system text",
    "facts": "the facts of the task",
    "task": "the task",
    "help": "the help of the level",
    "examples": "examples",
    "instruction": "the template's own words",
    "output": "how to write the answer",
    "reminder": "why the last try failed",
}


def print_preview(preview: Preview) -> None:
    """Print one prompt with its head."""
    title = f"  {preview.title}" if preview.title else ""
    out(f"--- {preview.name}{title}  ({_head(preview)})")
    if preview.sealed is None:
        out(preview.text)
    elif lively(sys.stdout):
        _print_coloured(preview)
    else:
        _print_labelled(preview)
    out("")


def _head(preview: Preview) -> str:
    sealed = preview.sealed
    if sealed is None:
        return preview.note
    words = [
        preview.level.help,
        f"about {sealed.prompt_tokens} tokens",
        f"at most {sealed.max_tokens} for the answer",
    ]
    if sealed.dropped:
        words.append(f"did not fit: {', '.join(sealed.dropped)}")
    return ", ".join([*words, *([preview.note] if preview.note else [])])


def print_legend(previews: list[Preview]) -> None:
    """Say which colour means what, for the origins that there are."""
    origins = {origin for p in previews if p.sealed for origin, _ in p.sealed.parts}
    if not lively(sys.stdout) or not origins:
        return
    from rich.text import Text

    line = Text("colours: ")
    for origin in [o for o in COLOURS if o in origins]:
        line.append(f"{LEGEND[origin]}  ", style=COLOURS[origin])
    console().print(line)


def _print_coloured(preview: Preview) -> None:
    from rich.text import Text

    assert preview.sealed is not None
    for origin, text in preview.sealed.parts:
        console().print(Text(clean(text), style=COLOURS.get(origin, "")), soft_wrap=True)
        out("")


def _print_labelled(preview: Preview) -> None:
    assert preview.sealed is not None
    for origin, text in preview.sealed.parts:
        out(f"[{origin}]\n{text}\n")


def as_data(preview: Preview) -> dict[str, Any]:
    """Give a prompt for `--json`."""
    sealed = preview.sealed
    data: dict[str, Any] = {"step": preview.name, "title": preview.title, "note": preview.note}
    if sealed is None:
        return {**data, "text": preview.text}
    return {
        **data,
        "level": preview.level.word,
        "messages": [m.model_dump(mode="json") for m in sealed.messages],
        "parts": [{"origin": origin, "text": text} for origin, text in sealed.parts],
        "schema": sealed.schema,
        "max_tokens": sealed.max_tokens,
        "temperature": sealed.temperature,
        "prompt_tokens": sealed.prompt_tokens,
        "dropped": list(sealed.dropped),
    }
