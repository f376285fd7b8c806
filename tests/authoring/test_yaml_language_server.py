"""The editor that most authors have: the real yaml-language-server from npm, over its protocol."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crp.authoring import json_schema
from crp.authoring.starting import MODELINE, SCHEMA
from crp.templates import is_template
from tests.support.lsp import Editor, Json, marked

ROOT = Path(__file__).parents[2]
PINNED = Path(__file__).with_name("editor")
LINE = f"{MODELINE}\n"
SETTINGS = {
    "yaml": {
        "schemaStore": {"enable": False},  # no network
        "validate": True,
        "hover": True,
        "completion": True,
    }
}
SHIPPED = [path for path in sorted((ROOT / "templates").glob("*.yaml")) if is_template(path)]
EXAMPLES = sorted((ROOT / "tests" / "language" / "examples").glob("*.yaml"))
STEP = f"{LINE}template: x\nsteps:\n  a:\n    prompt: b\n"

pytestmark = pytest.mark.slow


def lacking(why: str) -> None:
    """Skip on a developer's machine; where CI is set nothing is skipped in silence."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server that the lock file pins, installed once for its content."""
    tools = [name for name in ("node", "npm") if not shutil.which(name)]
    if tools:
        lacking(f"{' and '.join(tools)} must be on the PATH for the real yaml-language-server")
    lock = (PINNED / "package-lock.json").read_bytes()
    cache = getattr(request.config, "cache", None)
    kept = cache.mkdir("yaml-language-server") if cache else tmp_path_factory.mktemp("npm")
    folder = Path(kept) / hashlib.sha256(lock).hexdigest()[:12]
    main = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    if not main.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PINNED, folder)
        _install(folder)
    return main


def _install(folder: Path) -> None:
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    done = subprocess.run(
        ["npm", "ci", *quiet], cwd=folder, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        lacking(f"npm can not install yaml-language-server: {done.stderr[-2000:]}")


@pytest.fixture(scope="module")
def editor(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    root = tmp_path_factory.mktemp("project")
    (root / SCHEMA).write_text(json_schema.text(), "utf-8")
    running = Editor(["node", str(server), "--stdio"], root, settings=SETTINGS)
    yield running
    running.close()


def test_nothing_is_skipped_where_ci_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no npm"):
        lacking("no npm")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no npm"):
        lacking("no npm")


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (PINNED / "package-lock.json").read_text("utf-8")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.stem}")
def test_a_shipped_template_names_the_schema_in_its_first_line(path: Path) -> None:
    assert path.read_text("utf-8").startswith(LINE)


@pytest.mark.parametrize("path", [*SHIPPED, *EXAMPLES], ids=lambda path: f"{path.stem}")
def test_nothing_is_underlined_in_a_template_that_is_right(editor: Editor, path: Path) -> None:
    text = path.read_text("utf-8")
    assert editor.open(path.name, text if text.startswith(LINE) else LINE + text) == []


@pytest.mark.parametrize(
    ("text", "wrong", "message"),
    [
        (f"{STEP}stepz: c\n", "stepz", "not allowed"),
        (f"{STEP}    promt: c\n", "promt", "not allowed"),
        (f"{STEP}    checks:\n      - wordz: 3\n", "wordz", "not allowed"),
        (f"{STEP}    checks:\n      - words: 3-4\n        weigt: 3\n", "weigt", "not allowed"),
        (f"{STEP}    checks:\n      - no_refusl\n", "no_refusl", "not one of: no_refusal,"),
        (f"{STEP}    output: bulets 3-7\n", "bulets 3-7", "not one of: text, line,"),
        (f"{STEP}    output: {{feilds: {{c: text}}}}\n", "feilds", "not allowed"),
        (f"{STEP}    on_fail: [retry, hevier]\n", "hevier", "not one of: retry, heavier,"),
        (f"{STEP}    scaffolds: {{lite: c}}\n", "lite", "not allowed"),
        (f"{STEP}extract:\n  items:\n    minn: 2\n", "minn", "not allowed"),
    ],
)
def test_a_mistake_is_underlined_exactly(
    editor: Editor, text: str, wrong: str, message: str
) -> None:
    found = editor.open("typo.yaml", text)
    assert [_underlined(text, one) for one in found] == [wrong]
    assert message in found[0]["message"]


def _underlined(text: str, diagnostic: Json) -> str:
    start, end = diagnostic["range"]["start"], diagnostic["range"]["end"]
    assert start["line"] == end["line"]
    return text.splitlines()[start["line"]][start["character"] : end["character"]]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (f"{LINE}‸", "template steps extract match synthesize quality tests limits"),
        (f"{STEP}    ‸\n", "render calculate pick use output checks for_each on_fail repeat"),
        (f"{STEP}    out‸\n", "output"),
        (f"{STEP}    checks:\n      - ‸\n", "no_refusal complete words covers judge at_least hint"),
        (
            f"{STEP}    checks:\n      - words: 3\n        ‸\n",
            "at_least weight when hint otherwise",
        ),
        (f"{STEP}    output: ‸\n", "text line bullets numbered number yes_no json code"),
        (f"{STEP}    output:\n      ‸\n", "fields table choice schema"),
        (f"{STEP}    on_fail:\n      - ‸\n", "retry heavier accept_best model scaffold use"),
        (f"{STEP}    scaffold: ‸\n", "auto none light medium heavy"),
        (f"{STEP}    scaffolds:\n      ‸\n", "light medium heavy"),
        (f"{STEP}extract:\n  items:\n    ‸\n", "ask from min max must_appear otherwise"),
        (f"{STEP}match:\n  ‸\n", "keywords patterns examples not_examples priority"),
    ],
)
def test_what_fits_is_offered(editor: Editor, text: str, offered: str) -> None:
    found = editor.completions("new.yaml", text)
    assert {*offered.split()} <= {*found}
    assert "null" not in found


def test_what_is_there_already_is_not_offered_again(editor: Editor) -> None:
    assert "prompt" not in editor.completions("new.yaml", f"{STEP}    ‸\n")


def test_an_offer_explains_itself(editor: Editor) -> None:
    offered = editor.completions("new.yaml", f"{STEP}    ‸\n")["for_each"]
    assert "done for each entry" in offered["documentation"]


@pytest.mark.parametrize(
    ("text", "help"),
    [
        (f"{LINE}template: x\nst‸eps:\n  a: b\n", "The steps by name"),
        (f"{STEP}    samp‸les: 3\n", "they vote"),
        (f"{STEP}    out‸put: bullets 3-7\n", "What must come back"),
        (f"{STEP}    checks:\n      - wo‸rds: 3-4\n", "The number of words is in the range"),
        (f"{STEP}    on_fail:\n      - mod‸el: larger\n", "by its alias"),
        (f"{STEP}    repeat: {{un‸til: c}}\n", "A condition over"),
    ],
)
def test_a_hover_shows_the_docstring_and_no_title(editor: Editor, text: str, help: str) -> None:
    shown = editor.hover("hover.yaml", text)
    assert help in shown
    assert "#### " not in shown


def test_the_cursor_of_a_text_is_where_the_mark_is() -> None:
    assert marked("ab\nc‸d\n") == ("ab\ncd\n", (1, 1))
