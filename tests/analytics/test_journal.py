"""The journal: nothing acknowledged is lost, nothing broken is taken for an entry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.errors import StoreError, StoreUnavailable
from crp_analytics import segments
from crp_analytics.entries import Piece
from crp_analytics.journal import Journal, encode


def keep(journal: Journal, *bodies: object) -> None:
    journal.append([("note", encode("note", body)) for body in bodies])


def bodies(journal: Journal, after: int = 0) -> list[object]:
    return [entry.body for entry in journal.read(after)]


def segment(directory: Path) -> Path:
    return max(directory.glob("*.jsonl"))


def aside(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "damaged").glob("*")}


def never(part: bytes) -> bool:
    return False


def test_entries_come_back_in_order_with_numbers_from_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, {"a": 1}, "two")
    keep(journal, [3])
    assert [(e.sequence, e.kind, e.body) for e in journal.read()] == [
        (1, "note", {"a": 1}),
        (2, "note", "two"),
        (3, "note", [3]),
    ]


def test_reading_starts_after_a_position(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=100)
    for number in range(1, 21):
        keep(journal, number)
    assert len(list(tmp_path.iterdir())) > 5
    for after in range(21):
        assert bodies(journal, after) == list(range(after + 1, 21))
    assert journal.damage == ()


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    keep(first, "a", "b")
    first.close()
    again = Journal(tmp_path)
    keep(again, "c")
    assert [e.sequence for e in again.read()] == [1, 2, 3]


def test_every_line_is_json(tmp_path: Path) -> None:
    keep(Journal(tmp_path), {"text": "line\nbreak \u2028 \x00 é \ud800"})
    lines = segment(tmp_path).read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["body"]["text"] for line in lines] == [
        "line\nbreak \u2028 \x00 é \ud800"
    ]


@given(
    kept=st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists), min_size=1),
    cut=st.integers(min_value=1),
)
@settings(max_examples=40, deadline=None)
def test_a_tail_torn_anywhere_costs_only_the_torn_entry(
    tmp_path_factory: pytest.TempPathFactory, kept: list[object], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    keep(journal, *kept)
    whole = segment(folder).stat().st_size
    keep(journal, "torn")
    journal.close()
    torn = segment(folder).stat().st_size
    left = cut % (torn - whole)
    os.truncate(segment(folder), whole + left)
    if left == torn - whole - 1:  # only the newline is gone: the entry itself is whole
        kept = [*kept, "torn"]

    again = Journal(folder)
    assert bodies(again) == kept
    keep(again, "next")
    assert bodies(again) == [*kept, "next"]
    assert again.damage == ()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_one_flipped_byte_is_found_and_costs_no_other_entry(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    kept = [{"n": n, "text": "x" * n} for n in range(5)]
    keep(journal, *kept)
    keep(journal, "last")
    journal.close()
    content = bytearray(segment(folder).read_bytes())
    lines = bytes(content).splitlines(keepends=True)
    place = data.draw(st.integers(0, len(b"".join(lines[:5])) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    segment(folder).write_bytes(content)

    again = Journal(folder)
    survivors = bodies(again)
    hit = next(i for i in range(5) if place < len(b"".join(lines[: i + 1])))
    assert [body for body in [*kept, "last"] if body in survivors] == survivors
    assert {repr(b) for b in [*kept, "last"]} - {repr(b) for b in survivors} <= {repr(kept[hit])}
    assert again.damage, "it is reported"
    starts = len(b"".join(lines[:hit]))
    reported = [d.position.offset for d in again.damage]
    assert min(abs(offset - starts) for offset in reported) <= len(lines[hit])


def test_damage_says_where_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, "one", "two", "three")
    content = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(content.replace(b"two", b"twO"))
    assert bodies(journal) == ["one", "three"]
    assert list(aside(tmp_path).values()) == [
        content.replace(b"two", b"twO").split(b"\n")[1] + b"\n"
    ]
    offset = content.index(b"\n") + 1
    assert [str(d) for d in journal.damage] == [
        f"journal 000000000001.jsonl, byte {offset}: does not match its checksum"
    ]


def test_a_segment_that_is_gone_is_reported(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=10)
    for word in ("one", "two", "three"):
        keep(journal, word)
    sorted(tmp_path.glob("*.jsonl"))[1].unlink()
    assert bodies(journal) == ["one", "three"]
    assert [d.reason for d in journal.damage] == ["entries 2 to 2 are gone"]


def test_nan_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(StoreError, match="can not be kept"):
        keep(journal, "fine", {"quality": float("nan")})
    assert bodies(journal) == []


def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(StoreError, match=r"can not use the journal .*exists"):
        Journal(tmp_path / "journal")


FULL_DISK = """
import resource, sys
from pathlib import Path
from crp_analytics.journal import Journal, encode
from crp.errors import StoreUnavailable
journal = Journal(Path(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
journal.append([("note", encode("note", "before"))])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    journal.append([("note", encode("note", "x" * 5000))])
except StoreUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
journal.append([("note", encode("note", "after"))])
print([entry.body for entry in journal.read()], journal.damage)
"""


def test_a_full_disk_is_said_clearly_and_leaves_no_half_line(tmp_path: Path) -> None:
    """The kernel's file size limit stops the write in the middle, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    said, kept = done.stdout.splitlines()
    assert said.startswith("can not write the journal")
    assert "may be tried again" in said
    assert kept == "['before', 'after'] ()"


def test_a_write_that_fails_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("crp_analytics.journal._sync", no_space)
        with pytest.raises(StoreUnavailable, match="No space left on device"):
            keep(journal, "unsure")
    assert StoreUnavailable.retryable
    keep(journal, "sure")
    assert bodies(journal) == ["sure"]
    assert [e.sequence for e in journal.read()] == [1]


def test_a_torn_tail_is_cut_off_kept_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path)
    keep(journal, "whole")
    size = segment(tmp_path).stat().st_size
    keep(journal, "torn")
    journal.close()
    torn = segment(tmp_path).read_bytes()[size : size + 20]
    os.truncate(segment(tmp_path), size + 20)
    assert bodies(Journal(tmp_path)) == ["whole"]
    assert aside(tmp_path) == {f"000000000001-{size}.bin": torn}
    assert f"journal 000000000001.jsonl, byte {size}: 20 bytes" in caplog.text


def test_a_new_segment_begins_when_the_last_one_is_large(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=300)
    for _ in range(1, 10):
        keep(journal, "x" * 100)
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == [f"{n:012d}.jsonl" for n in (1, 3, 5, 7, 9)]


# -- writing anew ------------------------------------------------------------------------------


def in_upper_case(piece: Piece) -> tuple[str, str] | None:
    body = piece.entry().body
    return ("loud", encode("loud", body.upper())) if body == "two" else None


def test_only_the_segments_are_written_anew_in_which_something_changes(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=10)
    for word in ("one", "two", "three"):
        keep(journal, word)
    before = {path: path.stat().st_ino for path in tmp_path.glob("*.jsonl")}
    times = [entry.at for entry in journal.read()]
    assert journal.rewrite(in_upper_case, never) == 1
    after = [(e.sequence, e.kind, e.body) for e in journal.read()]
    assert after == [(1, "note", "one"), (2, "loud", "TWO"), (3, "note", "three")]
    assert [entry.at for entry in journal.read()] == times
    changed = [p.name for p, inode in before.items() if p.stat().st_ino != inode]
    assert changed == ["000000000002.jsonl"]
    keep(journal, "four")
    assert bodies(Journal(tmp_path)) == ["one", "TWO", "three", "four"]


def test_a_damaged_place_is_left_out_when_its_segment_is_written_anew_but_kept_aside(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    keep(journal, "one", "two", "three")
    content = segment(tmp_path).read_bytes().replace(b"three", b"threE")
    segment(tmp_path).write_bytes(content)
    journal.rewrite(in_upper_case, never)
    assert b"threE" not in segment(tmp_path).read_bytes()
    assert [b"threE" in kept for kept in aside(tmp_path).values()] == [True]
    keep(journal, "four")
    assert bodies(journal) == ["one", "TWO", "four"]
    assert [d.reason for d in journal.damage] == ["entries 3 to 3 are gone"]


def test_a_full_disk_while_a_segment_is_written_anew_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    keep(journal, "one", "two")

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            journal.rewrite(in_upper_case, never)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001.jsonl"]
    assert bodies(journal) == ["one", "two"]


@pytest.mark.parametrize("segment_bytes", [10, 250, 10_000])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_lost_entries_are_put_back_where_they_were(
    tmp_path_factory: pytest.TempPathFactory, segment_bytes: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, segment_bytes)
    for number in range(1, 13):
        keep(journal, number)
    lines = {
        piece.sequence: piece.line + b"\n"
        for path in segments.segments(folder)
        for piece in segments.pieces(path)
    }
    lost = data.draw(st.sets(st.integers(1, 12), min_size=1))
    journal.close()
    for path in segments.segments(folder):
        if first_lost(path, lines) <= lost and data.draw(st.booleans()):
            path.unlink()
            continue
        content = path.read_bytes()
        for number in lost:
            content = content.replace(lines[number], b"*" * 30 + b"\n")
        path.write_bytes(content)
    again = Journal(folder, segment_bytes)
    assert set(bodies(again)).isdisjoint(lost)
    assert again.fill(range(1, 13), lines.__getitem__) == 12 - len(set(range(1, 13)) - lost)
    assert bodies(again) == list(range(1, 13))
    keep(again, 13)
    assert bodies(Journal(folder, segment_bytes)) == list(range(1, 14))


def first_lost(path: Path, lines: dict[int, bytes]) -> set[int]:
    """The entries that stand in a segment."""
    content = path.read_bytes()
    return {number for number, line in lines.items() if line in content}


def test_an_entry_that_a_kill_left_in_two_segments_is_read_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, "one", "two", "three")
    lines = segment(tmp_path).read_bytes().splitlines(keepends=True)
    (tmp_path / "000000000002.jsonl").write_bytes(b"".join(lines[1:]))
    assert bodies(Journal(tmp_path)) == ["one", "two", "three"]
