"""`crp report`: a page from whatever the store holds, whole or not at all."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from crp_analytics.store import TraceStore
from tests.analytics.samples import record


@pytest.fixture
def recorded(tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "home" / "traces") as store:
        store.record(record("job-1"))


def test_it_writes_one_page_and_says_where(crp, recorded):
    done = crp("report")
    assert (done.exit_code, done.stdout) == (0, "report.html\n")
    page = Path("report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "comparison" in page
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["report.html"]


def test_a_home_without_jobs_gives_a_friendly_page(crp):
    assert crp("report", "--output", "empty.html").exit_code == 0
    assert "Nothing has happened yet" in Path("empty.html").read_text("utf-8")


def test_an_older_report_is_replaced_whole(crp, recorded):
    Path("report.html").write_text("old", "utf-8")
    crp("report")
    assert "old" not in Path("report.html").read_text("utf-8").split("<style>")[0]


def test_a_place_that_can_not_be_written_is_one_clear_line(crp, recorded):
    done = crp("report", "-o", "no/such/folder/report.html")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "error: can not write no/such/folder/report.html: there is no directory"
    )


def test_open_shows_it_in_the_browser(crp, recorded, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    crp("report", "--open")
    assert opened == [Path("report.html").absolute().as_uri()]


def test_without_a_browser_it_says_so(crp, recorded, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert "no browser could be opened" in crp("report", "--open").stderr
