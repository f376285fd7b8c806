"""Runs the fuzzer's inputs through the language and measures: a process of its own.

    python -m tests.support.fuzz.run KIND SEED FIRST COUNT FOLDER [--keep-going]

Every call of the engine may raise what its docstring says and nothing else, and may take at most
SECONDS of CPU time. The process may grow by at most MEGABYTES over what it has after reading the
shipped templates (peak of resident memory, looked at after every input), its caches included.
The last line that it prints is what it did, as JSON; a failure goes to a file in FOLDER with its
input. AT says which input is being read, for the one that kills the process.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from crp.errors import TemplateError
from crp.language.load import extended, lint, load
from crp.language.schema import Template
from crp.language.testing import Test, load_tests
from tests.support.fuzz import answers, jobs, mutations
from tests.support.fuzz.hostile import said
from tests.support.fuzz.limits import Slow, check_problems, must, peak, stop, timed
from tests.support.fuzz.mutations import Case, Corpus

MEGABYTES = 200
MOST_MEMORY = 4 << 30
"""Of addresses: what wants more fails at once and leaves the machine alone."""
AT = "{}-{}.at"

CASES: dict[str, Callable[[Corpus, int, int], Case]] = {
    "templates": mutations.template,
    "bundles": mutations.bundle,
    "bytes": mutations.raw,
    "giants": mutations.giant,
}
KINDS = (*CASES, "answers")


def input_of(kind: str, known: Corpus, seed: int, number: int) -> str:
    """Write an input for people."""
    if kind == "answers":
        return repr(_answer(seed, number)[0])
    case = CASES[kind](known, seed, number)
    parts = {"text": case.text, "base": case.base, "snippets": case.snippets, "tests": case.tests}
    return "\n".join(f"=== {name}\n{part}" for name, part in parts.items() if part)


def _answer(seed: int, number: int) -> tuple[str, Random]:
    rng = Random(f"answer {seed} {number}")
    return said(rng), rng


def _one(kind: str, known: Corpus, seed: int, number: int) -> str:
    """Read one input and say what became of it."""
    if kind == "answers":
        return answers.read_all(*_answer(seed, number))
    return _read(CASES[kind](known, seed, number), number)


def _read(case: Case, number: int) -> str:
    """Read a case's template and tests; say what became of it."""
    files = {"t.yaml": case.text, "_snippets.yaml": case.snippets}
    with timed("lint"):
        found = lint(case.text, "t.yaml", base=case.base, snippets=case.snippets)
    check_problems(found, files)
    errors = [p for p in found if p.severity == "error"]
    template = None
    with timed("load"):
        try:
            template = load(case.text, "t.yaml", base=case.base, snippets=case.snippets)
        except TemplateError as error:
            must(list(error.problems) == errors, "load and lint say the same")
            must(str(error).count("\n") < 10_000, "a message has an end")
    must((template is None) == bool(errors), "a template has errors, or it loads")
    if isinstance(case.text, str):
        with timed("extended"):
            extended(case.text)
    if case.tests:
        _read_tests(case.tests, template)
    if template is None:
        return "refused"
    jobs.use(template, Random(number))
    return "loaded"


def _read_tests(text: str | bytes, template: Template | None) -> None:
    with timed("load_tests"):
        try:
            tests = load_tests(text, "t.tests.yaml", template)
        except TemplateError as error:
            check_problems(error.problems, {"t.tests.yaml": text})
            return
    for test in tests:
        must(Test.model_validate_json(test.model_dump_json()) == test, "a test goes through JSON")


# -- the process ----------------------------------------------------------------------------------


def main(kind: str, seed: int, first: int, count: int, folder: Path, keep_going: bool) -> int:
    """Run inputs until one fails; with `keep_going`, all of them."""
    signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.RLIM_INFINITY))
    known = mutations.corpus()
    for text in known.texts:
        lint(text, "t.yaml", snippets=known.snippets)
    base = highest = peak()
    done: Counter[str] = Counter()
    slowest = (0.0, 0)
    where = os.open(folder / AT.format(kind, first), os.O_CREAT | os.O_WRONLY)
    for number in range(first, first + count):
        os.pwrite(where, b"%012d" % number, 0)
        start = time.process_time()
        try:
            done[_one(kind, known, seed, number)] += 1
            highest = peak()
            must(highest - base < MEGABYTES, f"memory grew by less than {MEGABYTES} MB", highest)
        except (Exception, Slow):
            done["failed"] += 1
            base = max(base, highest)
            _tell(
                folder, f"{kind}, seed {seed}, number {number}", input_of(kind, known, seed, number)
            )
            if not keep_going:
                break
        slowest = max(slowest, (round(time.process_time() - start, 3), number))
    seconds = round(time.process_time())
    report = {"kind": kind, "seed": seed, **done, "slowest": slowest, "seconds": seconds}
    print(json.dumps(report | {"megabytes": round(highest - base)}))
    return min(1, done["failed"])


def _tell(folder: Path, name: str, shown: str) -> None:
    """Write down what failed, and with which input."""
    path = folder / f"{name.replace(', ', '-').replace(' ', '-')}.txt"
    told = f"{name}\n{traceback.format_exc()}"
    path.write_text(f"{told}\n{shown}", errors="backslashreplace")
    told = told.encode(errors="backslashreplace").decode()
    print(f"{told}the input is in {path}", flush=True)


if __name__ == "__main__":
    kind, *numbers, folder = sys.argv[1:6]
    sys.exit(main(kind, *map(int, numbers), Path(folder), "--keep-going" in sys.argv))
