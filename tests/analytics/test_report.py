"""The report page: honest numbers, hostile names, and how a real browser shows it.

The browser is chromium, `apt-get install chromium`; without it those tests are skipped.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crp.models import Score
from crp_analytics.report import QUERY, page
from crp_analytics.report_chapters import CHAPTERS
from crp_analytics.store import TraceStore
from tests.analytics.busy import fill
from tests.analytics.samples import RETRIEVE, record, result, trace

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOSTILE = (
    "<script>window.ran = 1</script>",
    '"><img src=http://elsewhere.invalid/x onerror="window.ran = 2">',
    "</style></title><script>window.ran = 3</script>",
    "' onload='window.ran = 4",
    "javascript:window.ran=5",
    "{{ 7 * 7 }} ${7*7} datum.value",
    "\x00\x1b[31m\r\n\x07 bell",
    "\u202ebackwards\ufeff\u2028\uffff\U000e0001",
    "x" * 5000,
    "日本語 عربي 👩‍👩‍👧",
    "url(http://elsewhere.invalid/y)",
    "&lt;b&gt; &amp;amp;",
)


def made(store: TraceStore) -> str:
    return page(store.sql(QUERY, row_cap=1), NOW)


@functools.cache
def busy() -> str:
    with TraceStore.in_memory() as store:
        fill(store, 200, 55)
        return made(store)


@functools.cache
def hostile() -> str:
    with TraceStore.in_memory() as store:
        fill(store, 120, 20, HOSTILE)
        return made(store)


@functools.cache
def empty() -> str:
    with TraceStore.in_memory() as store:
        return made(store)


class Parts(HTMLParser):
    """The tags of a page with their attributes, and its texts by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.tags[-1][0] if self.tags else "", data))

    def all(self, tag: str) -> list[str]:
        return [text for of, text in self.texts if of == tag]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


# -- what it says ------------------------------------------------------------------------------


def test_every_chapter_has_a_chart_for_each_width_and_a_table() -> None:
    parts = Parts(busy())
    assert parts.count("section") == parts.count("table") == len(CHAPTERS)
    assert parts.count("svg") == 2 * len(CHAPTERS)
    assert [title for title in parts.all("h2") if title.strip()][:-1] == [
        chapter.title for chapter in CHAPTERS
    ]


def test_every_table_and_the_headline_say_n() -> None:
    heads = re.findall(r"<thead>(.*?)</thead>", busy())
    assert all(re.search(r">n( with)?<", head) for head in heads)
    assert "mean of n = " in busy()


def test_every_chart_is_told_in_words_and_every_table_has_heads() -> None:
    parts = Parts(busy())
    charts = [attrs for tag, attrs in parts.tags if tag == "svg"]
    assert all(a["role"] == "img" and "table below" in (a["aria-label"] or "") for a in charts)
    assert all("scope" in attrs for tag, attrs in parts.tags if tag == "th")
    assert {"lang": "en"} in [attrs for tag, attrs in parts.tags if tag == "html"]


def test_an_empty_store_gives_a_friendly_page() -> None:
    assert "Nothing has happened yet" in empty()
    assert "crp run" in empty()
    assert Parts(empty()).count("svg") == 0


def test_one_job_claims_nothing(store: TraceStore) -> None:
    store.record(record("j1"))
    said = made(store)
    assert "n = 1 is small" in said
    assert "can not be told: n = 1 is too few" in said
    assert not re.search(r"\bhelps in|\bhurts in|; better|; worse", said)


def test_a_lift_is_called_one_only_when_its_interval_is_above_zero(store: TraceStore) -> None:
    for number in range(30):
        probe, odd = Score(candidate="probe", value=0.5), number % 2
        sure, unsure, alike = (
            (probe, Score(candidate="joined", value=value))
            for value in (0.8 + 0.1 * odd, 0.2 + 0.6 * odd, 0.8)
        )
        for kind, these in (("sure", sure), ("unsure", unsure), ("alike", alike)):
            job = f"{kind}-{number}"
            kept = trace(f"t {job}", trace_id=job, task_type=kind)
            store.record(record(job, trace=kept, result=result(job, scores=these)))
    rows = dict(re.findall(r'<th scope="row">(\w+)</th>.*?<td>([^<]+)</td></tr>', made(store)))
    assert rows["sure"] == "helps"
    assert rows["unsure"] == "can not be told yet: the interval holds 0"
    assert rows["alike"] == "can not be told: of n = 30 all are alike"


def test_a_hold_out_arm_of_two_jobs_proves_nothing(store: TraceStore) -> None:
    store.add_trace(trace())
    for number in range(30):
        job, held = f"j{number}", number < 2
        store.retrieve(job, "compare React", **{**RETRIEVE, "hold_out": float(held)})
        score = Score(candidate="joined", value=0.7 + 0.001 * number - 0.1 * held)
        store.record(
            record(job, trace=None, result=result(job, scores=(score,), quality=score.value))
        )
    assert "can not be told: n = 2 is too few" in made(store)
    assert "The smallest hold-out arm has 2 jobs" in made(store)


def test_what_does_not_fit_is_counted(store: TraceStore) -> None:
    for number in range(20):
        kept = trace(f"t{number}", trace_id=f"t{number}", task_type=f"type-{number:02}")
        store.record(record(f"j{number}", trace=kept))
    assert "Shown are 15 of 20." in made(store)


def test_a_persons_score_is_what_counts(store: TraceStore) -> None:
    store.record(record("j1"))
    store.score("j1", 0.25, "anna")
    assert "1 scored by a person" in made(store)
    assert "<b>0.25</b>" in made(store)


# -- what it must not do -----------------------------------------------------------------------


def test_nothing_of_the_data_becomes_markup() -> None:
    parts = Parts(hostile())
    assert parts.count("script") == parts.count("img") == 0
    ours = {tag for tag, _ in Parts(busy()).tags}
    assert {tag for tag, _ in parts.tags} == ours
    names = {name for _, attrs in parts.tags for name in attrs}
    assert not [n for n in names if n.startswith("on") or n in ("href", "src", "xlink:href")]


def test_no_address_is_named_but_the_names_of_formats() -> None:
    outside = re.sub(r'xmlns(:\w+)?="[^"]+"', "", busy())
    assert not re.search(r"https?:|//\w|url\(|@import", outside)


def test_prompts_answers_and_tasks_are_not_in_it(store: TraceStore) -> None:
    secret = "the customer is called Zebulon"
    store.record(record("j1", task=secret, result=result("j1", answer=secret), trace=None))
    assert "Zebulon" not in made(store)


def test_what_does_not_print_is_replaced() -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufeff\u2028]", hostile())
    assert "\ufffd" in hostile()


def test_an_endless_name_is_cut() -> None:
    assert "x" * 200 not in hostile()


# -- how a browser shows it --------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
PROBE = """<!doctype html><title>probe</title>
<iframe id=f src=/report.html width=WIDTH height=900></iframe><pre id=said></pre>
<script>
f.onload = () => {
  const page = f.contentDocument, inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1;
  const charts = [...page.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().width);
  const marks = s => s.querySelectorAll(".role-mark path, .role-mark line, .role-mark rect").length;
  const style = page.defaultView.getComputedStyle(page.body);
  said.textContent = JSON.stringify({
    charts: charts.length,
    unmarked: charts.filter(s => marks(s) < 1).length,
    cut: charts.flatMap(s => [...s.querySelectorAll("text")].filter(
      t => !inside(t.getBoundingClientRect(), s.getBoundingClientRect())).map(t => t.textContent)),
    wider: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    paper: style.backgroundColor, ink: style.color,
    fill: charts.length
      ? page.defaultView.getComputedStyle(charts[0].querySelector("text")).fill : "",
    asked: page.defaultView.performance.getEntriesByType("resource").map(e => e.name),
    ran: page.defaultView.ran ?? null, title: page.title,
  });
};
</script>"""


class Browser:
    """A page in chromium, with every request that it makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def look(self, text: str, width: int, *, dark: bool = False) -> dict[str, Any]:
        with _serving(text, PROBE.replace("WIDTH", str(width)), self.asked) as address:
            done = self._run(address, dark)
        assert "CONSOLE" not in done.stderr, done.stderr
        found = re.search(r'<pre id="said">(.+?)</pre>', done.stdout, re.S)
        assert found, done.stdout[-2000:] + done.stderr[-2000:]
        told: dict[str, Any] = json.loads(found[1])
        assert told["asked"] == []
        return told

    def _run(self, address: str, dark: bool) -> subprocess.CompletedProcess[str]:
        words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu"]
        words += ["--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"]
        words += ["--disable-component-update", "--disable-sync", f"--user-data-dir={self.folder}"]
        # Whatever is asked for comes to us, wherever it lies; chromium asks for things of its own.
        words += [f"--proxy-server={address}", "--proxy-bypass-list=<-loopback>"]
        words += ["--enable-logging=stderr", "--window-size=1200,1000"]
        words += ["--virtual-time-budget=8000", "--dump-dom"]
        words += ["--blink-settings=preferredColorScheme=0"] if dark else []
        return subprocess.run(
            [*words, f"http://{address}/probe.html"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


class _serving:
    """Serve the report and the page that looks at it; note every request."""

    def __init__(self, report: str, probe: str, asked: list[str]) -> None:
        pages = {"/report.html": report, "/probe.html": probe}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = "/" + self.path.split("/", 3)[3] if "://" in self.path else self.path
                asked.append(self.path)
                body = pages.get(path, "").encode("utf-8", "surrogatepass")
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_CONNECT(self) -> None:
                asked.append(self.path)
                self.send_error(403)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """The browser may hang up."""

        self._server = Server(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("chromium is not installed: the page is not looked at in a browser")
    opened = Browser(tmp_path)
    yield opened
    assert not [url for url in opened.asked if "elsewhere" in url]
    assert any(url.endswith("/report.html") for url in opened.asked)


@pytest.mark.parametrize("width", [1000, 360])
@pytest.mark.parametrize("kind", [busy, hostile])
def test_charts_are_drawn_and_nothing_is_cut_off(kind: Any, width: int, browser: Browser) -> None:
    told = browser.look(kind(), width)
    assert (told["charts"], told["unmarked"]) == (len(CHAPTERS), 0)
    assert told["wider"] <= 0
    assert told["cut"] == []


def test_nothing_that_was_planted_runs(browser: Browser) -> None:
    told = browser.look(hostile(), 1000)
    assert (told["ran"], told["title"]) == (None, "How the engine is doing")


def test_it_follows_the_browser_into_the_dark(browser: Browser) -> None:
    light, dark = browser.look(busy(), 1000), browser.look(busy(), 1000, dark=True)
    assert light["paper"] == "rgb(255, 255, 255)"
    assert light["fill"] == light["ink"]
    assert dark["fill"] == dark["ink"]
    assert dark["ink"] != light["ink"]
    assert dark["paper"] != light["paper"]


def test_the_empty_page_shows(browser: Browser) -> None:
    told = browser.look(empty(), 360)
    assert (told["charts"], told["wider"] <= 0) == (0, True)
