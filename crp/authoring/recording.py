"""Writes tests into YAML files: answers that were recorded, whole tests.

The file is rewritten by ruamel, so comments, order and quotes survive; only what is meant changes.
Touches the files it is given.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from crp.authoring.slots import Said, Slot
from crp.blobs import write_durably
from crp.errors import UsageError

WIDTH = 4096
"""Lines are left as they are; ruamel would fold those of others too."""
LONG = 90
"""Characters; a text above this stands in a block of its own."""
_INDENTED = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*\n(?:[ \t]*#[^\n]*\n)*\1( *)- ", re.MULTILINE)


def recorded_of(said: Iterable[Said]) -> dict[str, JsonValue]:
    """Put the answers of a run into the form of `recorded` (see slots.py)."""
    recorded: dict[str, Any] = {}
    answers: dict[Slot, dict[int, dict[int, str]]] = {}
    for one in said:
        answers.setdefault(one.slot, {}).setdefault(one.number, {})[one.sample] = one.text
    critiques = sum(slot.part == "critique" for slot in answers)
    for slot, tries in answers.items():
        folder = recorded
        for planned in slot.within.split(">") if slot.within else ():
            for key in planned.split("/", 1):
                folder = folder.setdefault(key, {})
        _put(folder, slot, _texts(tries), alone=critiques == 1)
    return {key: _brief(value) if key == "judge" else value for key, value in recorded.items()}


def _brief(judge: Mapping[str, Mapping[str, JsonValue]]) -> JsonValue:
    """A judge that always says the same about a question is written once."""
    return {
        question: next(iter(said.values())) if len({*map(str, said.values())}) == 1 else dict(said)
        for question, said in judge.items()
    }


def _put(folder: dict[str, Any], slot: Slot, value: JsonValue, *, alone: bool) -> None:
    if slot.part == "judge":
        folder.setdefault("judge", {}).setdefault(slot.question, {})[slot.planned] = value
    elif slot.part and not alone:
        folder.setdefault(slot.part, {})[slot.planned] = value
    elif slot.part:
        folder[slot.part] = value
    elif slot.item is not None:
        folder.setdefault(slot.step, {})[slot.item] = value
    else:
        folder[slot.step] = value


def _texts(tries: Mapping[int, Mapping[int, str]]) -> JsonValue:
    """One text for one try, a list for several; samples that agree are one text."""
    texts: list[JsonValue] = []
    for _, samples in sorted(tries.items()):
        said = [text for _, text in sorted(samples.items())]
        texts.append(said[0] if len({*said}) == 1 else list(said))
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else texts


# -- files ----------------------------------------------------------------------------------------


def tests_file(template_file: Path) -> Path:
    """Where new tests of a template go: into its file if tests stand there, else beside it."""
    text = template_file.read_text("utf-8")
    if re.search(r"^tests:", text, re.MULTILINE):
        return template_file
    return template_file.with_name(f"{template_file.stem}.tests.yaml")


def write_recorded(file: Path, test: str, recorded: Mapping[str, JsonValue]) -> None:
    """Replace what is recorded for one test. Raises UsageError when the file has no such test."""
    yaml, data = _read(file)
    tests = data["tests"] if _is_template(data) else data
    if test not in tests:
        raise UsageError(f"{file} has no test {test!r}")
    tests[test]["recorded"] = _yaml(recorded)
    _write(file, yaml, data)


def add_test(file: Path, name: str, test: Mapping[str, JsonValue]) -> None:
    """Add a test to a file, which is made when there is none. Raises UsageError for a name that
    is taken."""
    yaml, data = _read(file)
    tests = data.setdefault("tests", CommentedMap()) if _is_template(data) else data
    if name in tests:
        raise UsageError(f"{file.name} has a test {name!r} already: give another --name")
    tests[name] = _yaml(test)
    _write(file, yaml, data)


def _is_template(data: Mapping[str, Any]) -> bool:
    return isinstance(data.get("template"), str)


def _read(file: Path) -> tuple[YAML, CommentedMap]:
    text = file.read_text("utf-8") if file.exists() else ""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    found = _INDENTED.search(text)
    offset = len(found[2]) if found else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml, yaml.load(text) or CommentedMap()


def _write(file: Path, yaml: YAML, data: CommentedMap) -> None:
    stream = StringIO()
    yaml.dump(data, stream)
    save(file, stream.getvalue())


def save(file: Path, text: str) -> None:
    """Write a file whole or not at all; it keeps its permissions."""
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644
    write_durably(file, text.encode())
    file.chmod(mode)


def _yaml(value: Any) -> Any:
    """Give a value as ruamel writes it best: long texts as blocks."""
    if isinstance(value, Mapping):
        return CommentedMap({key: _yaml(entry) for key, entry in value.items()})
    if isinstance(value, list | tuple):
        return [_yaml(entry) for entry in value]
    if not isinstance(value, str) or ("\n" not in value and len(value) <= LONG):
        return value
    # A block can not begin with a space, and an editor would strip those at the end of a line.
    odd = value != value.lstrip() or re.search(r"[ \t]\n|[^\S\n]$|[^\x20-\x7e\n\xa0-\ufffd]", value)
    return DoubleQuotedScalarString(value) if odd else LiteralScalarString(value)
