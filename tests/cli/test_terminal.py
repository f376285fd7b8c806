"""What reaches the screen."""

import json

from hypothesis import given
from hypothesis import strategies as st

from crp.cli.stages import told
from crp.cli.terminal import clean, one_line, print_json, print_markdown, print_table

HOSTILE = "a\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x9b2J\x07\x00\u202eb\r\nc"


def test_escape_sequences_are_taken_out_whole_and_lines_stay():
    assert clean(HOSTILE) == "ared linkb\nc"


def test_an_escape_sequence_that_never_ends_does_not_swallow_the_text():
    assert clean("before \x1b]0;after\nmore") == "before 0;after\nmore"


def test_letters_of_all_scripts_and_tabs_stay():
    text = "Grüße\t你好 👩‍👧 שלום"
    assert clean(text) == text


@given(st.text(st.characters(codec=None) | st.sampled_from("\x1b\x9b[]0m;\x07\\")))
def test_nothing_that_steers_a_terminal_is_left(text):
    left = clean(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F for c in left)
    left.encode()


def test_a_table_cell_can_not_begin_a_new_line(capsys):
    print_table(("a", "b"), [("one\ntwo", 1), (None, {"k": "v"})])
    assert capsys.readouterr().out == 'a        b\none two  1\n         {"k": "v"}\n'


def test_json_escapes_what_steers_a_terminal_and_loses_nothing(capsys):
    print_json({"text": HOSTILE, "half": "\ud83d"})
    printed = capsys.readouterr().out
    assert clean(printed) == printed
    assert json.loads(printed) == {"text": HOSTILE, "half": "\ud83d"}


def test_one_line_says_that_it_goes_on():
    assert one_line("many\n words " * 10, 12) == "many word..."


def test_a_download_is_told_in_quarters_where_lines_can_not_change(capsys):
    with told() as tell:
        for percent in range(101):
            tell(f"fetching the model [{'#' * (percent // 5):<20}] {percent}%, 1 of 9 MB")
        tell("starting the engine")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[-1] == "starting the engine"


def test_a_text_in_a_pipe_is_as_it_is_without_what_steers(capsys):
    print_markdown("# Title\n\n* **one** \x1b[31mred")
    assert capsys.readouterr().out == "# Title\n\n* **one** red\n"
