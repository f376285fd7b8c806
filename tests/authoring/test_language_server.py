"""`crp templates lsp` as an editor uses it: a process of its own, spoken to over stdio."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crp.language.load import lint
from tests.support.lsp import Editor, Json

ROOT = Path(__file__).parents[2]
COMPARISON = (ROOT / "tests" / "language" / "examples" / "comparison.yaml").read_text("utf-8")
HEAD = """template: x
extract:
  items: things to compare
steps:
  profile:
    for_each: items
    prompt: Write about {{ item }}.
    output:
      fields: {winner: text}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    root = tmp_path_factory.mktemp("project")
    (root / "_snippets.yaml").write_text("tone: Be kind.\nclosing: The end.\n", "utf-8")
    (root / "base.yaml").write_text(HEAD.replace("template: x", "template: base"), "utf-8")
    home = ("--home", str(root / "home"))
    running = Editor([sys.executable, "-m", "crp", "templates", "lsp", *home], root)
    yield running
    running.close()


def underlined(text: str, range: Json) -> str:
    """The text of a range, whose columns count in UTF-16."""
    start, end = range["start"], range["end"]
    assert start["line"] == end["line"]
    row = text.split("\n")[start["line"]].encode("utf-16-le")
    return row[2 * start["character"] : 2 * end["character"]].decode("utf-16-le")


def test_a_template_that_is_right_has_no_errors(editor: Editor) -> None:
    found = editor.open("right.yaml", COMPARISON)
    assert [one for one in found if one["severity"] == 1] == []


def test_diagnostics_are_the_linters_with_their_place_code_and_help(editor: Editor) -> None:
    text = COMPARISON.replace("verdict.winner", "verdict.winer")
    [problem] = lint(text, "x.yaml")
    [found] = editor.open("wrong.yaml", text)
    assert underlined(text, found["range"]) == "winer"
    assert found["code"] == problem.code == "T004"
    assert found["severity"] == 1
    assert found["message"] == f"{problem.message}\nhelp: {problem.help}"


def test_a_warning_is_a_warning(editor: Editor) -> None:
    found = editor.open("warned.yaml", HEAD + "  b: c # lost\n  d: Go on with {{ b }}\n")
    assert {(one["code"], one["severity"]) for one in found} >= {("W101", 2)}


def test_diagnostics_follow_what_is_typed(editor: Editor) -> None:
    assert [one["code"] for one in editor.open("typed.yaml", "template: x\nstepz: 1\n")]
    assert editor.open("typed.yaml", HEAD) == []


def test_columns_count_as_the_editor_counts(editor: Editor) -> None:
    text = HEAD + "  b: Über 𝒳 und 🙂 {{ nothing }}\n"
    [found] = editor.open("wide.yaml", text)
    assert underlined(text, found["range"]) == "nothing"


def test_files_of_other_software_are_left_alone(editor: Editor) -> None:
    assert editor.open("compose.yaml", "services:\n  web: {{ x }}\n") == []
    assert editor.completions("compose.yaml", "services:\n  web: {{ ‸\n") == {}


def test_names_are_completed_while_the_line_can_not_be_read(editor: Editor) -> None:
    found = editor.completions("open.yaml", HEAD + "  b: {{ pro‸\n  c: d\n")
    assert {"items", "profile", "task"} <= {*found}
    assert "for each of items" in found["profile"]["detail"]


def test_names_are_completed_while_the_file_can_not_be_read_at_all(editor: Editor) -> None:
    editor.open("lost.yaml", HEAD + "  b: Compare them\n")
    lost = HEAD + "  b: Compare {{ ‸ }}\n" + "".join(f"}}{n}: [\n" for n in range(60))
    assert "profile" in editor.completions("lost.yaml", lost)


def test_fields_filters_and_snippets_are_completed(editor: Editor) -> None:
    step = "  b: |\n    {% for i in profile %}{{ profile[i].‸ }}{% endfor %}\n"
    assert [*editor.completions("f.yaml", HEAD + step)] == ["winner"]
    assert "bullets" in editor.completions("f.yaml", HEAD + "  b: Say {{ items | ‸ }}\n")
    assert {"tone", "closing"} <= {
        *editor.completions("f.yaml", HEAD + "  b: Say {{ snippets.‸ }}\n")
    }


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "  b: Compare {{ prof‸ile }}\n",
        HEAD + "  b: {prompt: c, when: prof‸ile}\n",
        HEAD + "  b: {prompt: c, needs: [prof‸ile]}\n",
        HEAD + "  b: {prompt: c, checks: [keeps: prof‸ile]}\n",
        HEAD + "  b: Compare {{ prof‸ile }}\n  c: {{ broken }}\n",
    ],
)
def test_a_name_leads_to_its_definition(editor: Editor, text: str) -> None:
    found = editor.at("definition", "go.yaml", text)
    assert found["uri"] == editor.uri("go.yaml")
    assert found["range"]["start"] == {"line": 4, "character": 2}
    assert underlined(HEAD, found["range"]) == "profile"


def test_a_shared_snippet_leads_to_its_file(editor: Editor) -> None:
    found = editor.at("definition", "go.yaml", HEAD + "  b: Say {{ snippets.clo‸sing }}\n")
    assert found["uri"] == editor.uri("_snippets.yaml")
    assert found["range"]["start"] == {"line": 1, "character": 0}


def test_a_name_of_nothing_leads_nowhere(editor: Editor) -> None:
    assert editor.at("definition", "go.yaml", HEAD + "  b: Compare {{ ta‸sk }}\n") is None


def test_a_step_is_renamed_everywhere(editor: Editor) -> None:
    cursor = COMPARISON.replace("\n  table:", "\n  ta‸ble:")
    place = editor.at("prepareRename", "r.yaml", cursor)
    assert place["placeholder"] == "table"
    edits = editor.at("rename", "r.yaml", cursor, newName="grid")["changes"][editor.uri("r.yaml")]
    assert {underlined(COMPARISON, edit["range"]) for edit in edits} == {"table"}
    changed = _edited(COMPARISON, edits)
    assert [one for one in editor.open("r.yaml", changed) if one["severity"] == 1] == []
    assert "{{ table }}" not in changed
    assert "ran: [profile, grid, surprises, verdict]" in changed
    assert "table: [aspect," in changed  # the output of that kind keeps its word


def _edited(text: str, edits: list[Json]) -> str:
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda one: -one["range"]["start"]["character"]):
        start, end = edit["range"]["start"], edit["range"]["end"]
        row = lines[start["line"]]
        new = row[: start["character"]] + edit["newText"] + row[end["character"] :]
        lines[start["line"]] = new
    return "\n".join(lines)


def test_a_name_that_is_taken_is_refused_with_the_reason(editor: Editor) -> None:
    with pytest.raises(AssertionError, match='the name "items" is taken'):
        editor.at("rename", "r.yaml", HEAD.replace("  profile:", "  pro‸file:"), newName="items")


def test_what_is_no_name_can_not_be_renamed(editor: Editor) -> None:
    assert editor.at("prepareRename", "r.yaml", HEAD.replace("Write", "Wri‸te")) is None


def test_all_uses_of_a_list_are_found(editor: Editor) -> None:
    more = {"context": {"includeDeclaration": True}}
    text = HEAD + "  b: Compare {{ it‸ems }}\n"
    found = editor.at("references", "refs.yaml", text, **more)
    assert [one["range"]["start"]["line"] for one in found] == [2, 5, 9]


def test_a_hover_on_a_step_shows_its_prompt(editor: Editor) -> None:
    shown = editor.hover("h.yaml", HEAD + "  b: Pick one of {{ prof‸ile }}\n")
    assert shown.startswith("**profile** · prompt · for each of `items`")
    assert "Write about <items 1>." in shown


def test_a_hover_on_a_list_and_on_a_name_of_the_engine_says_what_it_is(editor: Editor) -> None:
    assert "things to compare" in editor.hover(
        "h.yaml", HEAD.replace("each: items", "each: it‸ems")
    )
    assert "the request" in editor.hover("h.yaml", HEAD + "  b: Do {{ ta‸sk }}\n")
    assert editor.hover("h.yaml", HEAD.replace("Write", "Wri‸te")) == ""


def test_what_is_inherited_is_known(editor: Editor) -> None:
    child = "template: child\nextends: base\nsteps:\n  b: Go on with {{ ‸ }}\n"
    assert {"profile", "items"} <= {*editor.completions("child.yaml", child)}
    found = editor.open("child.yaml", child.replace("‸", "profil"))
    assert ["profile" in one["message"] for one in found] == [True]


def test_the_names_of_a_file_are_its_outline(editor: Editor) -> None:
    symbols = editor.at("documentSymbol", "s.yaml", HEAD + "‸")
    assert [one["name"] for one in symbols] == ["items", "profile"]


def test_a_closed_file_has_no_diagnostics(editor: Editor) -> None:
    assert editor.open("closed.yaml", "template: x\nstepz: 1\n")
    editor.notify("textDocument/didClose", {"textDocument": {"uri": editor.uri("closed.yaml")}})
    editor.hover("h.yaml", HEAD + "‸")  # answered after the notification
    assert editor.diagnostics("closed.yaml") == []
