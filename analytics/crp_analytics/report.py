"""The report: one self-contained HTML page about how the engine is doing.

`QUERY` asks the store for everything at once, so all numbers are of one moment; `page` makes the
page of the answer. Pure: no file, no database, no clock. Every text of the data is escaped, and the
page's own policy forbids scripts and requests, so nothing that a task or a model wrote can run.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files

from crp_analytics import report_words as words
from crp_analytics.report_chapters import CHAPTERS, Chapter, Column, prepared
from crp_analytics.report_charts import NARROW, WIDE, Row, drawn
from crp_analytics.report_words import safe
from crp_analytics.sql import Table

MOST_ROWS = 15
"""Rows of a chapter; over time there may be more."""

MOST_PERIODS = 120
LONGEST_NAME, LONGEST_TEXT = 60, 120
"""Characters."""

GLANCE = """
SELECT count(*) AS jobs, count(*) FILTER (j.status = 'completed') AS completed,
       wilson_low(completed, jobs) AS completed_low, wilson_high(completed, jobs) AS completed_high,
       count(q.quality) AS n, avg(q.quality) AS quality,
       at_least(0, ci95_low(avg(q.quality), stddev_samp(q.quality), n)) AS quality_low,
       at_most(1, ci95_high(avg(q.quality), stddev_samp(q.quality), n)) AS quality_high,
       count(*) FILTER (q.scorer_kind = 'person') AS by_person,
       count(*) FILTER (q.scorer_kind = 'judge') AS by_judge,
       sum(j.input_tokens + j.output_tokens)::BIGINT AS tokens, sum(j.cost) AS cost,
       quantile_cont(j.seconds, 0.5) AS seconds,
       min(j.finished_at)::DATE AS since, max(j.finished_at)::DATE AS until,
       (SELECT count(*) FROM traces WHERE status = 'active') AS active,
       (SELECT count(*) FROM traces WHERE status = 'retired') AS retired
FROM jobs AS j JOIN v_job_quality AS q USING (job_id)
"""


def _rows_of(key: str, query: str, most: int) -> str:
    return f"(SELECT list(q ORDER BY q.place) FROM ({query} QUALIFY place <= {most}) AS q) AS {key}"


QUERY = "SELECT " + ",\n".join(
    [
        f"(SELECT q FROM ({GLANCE}) AS q) AS glance",
        *(
            _rows_of(c.key, c.query, MOST_PERIODS if c.key == "time" else MOST_ROWS)
            for c in CHAPTERS
        ),
    ]
)


def page(answer: Table, made_at: datetime) -> str:
    """Make the page of what `QUERY` gave."""
    found = dict(zip(answer.columns, answer.rows[0], strict=True))
    glance: Row = found["glance"]  # type: ignore[assignment]
    parts = [_head(glance, made_at)]
    if glance["jobs"]:
        parts += [_glance(glance), *(_chapter(c, _list(found[c.key])) for c in CHAPTERS)]
        parts.append(_fill("how.html"))
    else:
        parts.append(_fill("empty.html"))
    return (
        _fill("page.html")
        .replace("<!-- STYLE -->", _fill("style.css"))
        .replace("<!-- PARTS -->", "\n".join(parts))
    )


def _list(rows: object) -> list[Row]:
    return prepared(rows) if isinstance(rows, list) else []


def _head(glance: Row, made_at: datetime) -> str:
    when = f"Made on {made_at:%-d %B %Y, %H:%M} UTC"
    if glance["jobs"]:
        since, until = glance["since"], glance["until"]
        when += f", from jobs of {since}" + (f" to {until}" if until != since else "")
    return f"<header><h1>How the engine is doing</h1><p>{text(when)}.</p></header>"


def _glance(g: Row) -> str:
    by = f"{g['by_person']:,} scored by a person, {g['by_judge']:,} by a judge"
    share = words.interval(g["completed_low"], g["completed_high"], "share")
    quality = words.interval(g["quality_low"], g["quality_high"], "quality")
    cells = (
        ("jobs", words.number(g["jobs"], "count"), by),
        (
            "completed",
            words.number(g["completed"] / g["jobs"], "share"),
            f"{g['completed']:,} of {g['jobs']:,}, 95% interval {share}",
        ),
        (
            "quality",
            words.number(g["quality"], "quality"),
            f"mean of n = {g['n']:,}, 95% interval {quality}{words.small(g['n'])}",
        ),
        ("half of the jobs took", f"under {words.number(g['seconds'], 'seconds')}", ""),
        ("tokens", words.number(g["tokens"], "count"), f"cost {words.number(g['cost'], 'money')}"),
        ("library", words.number(g["active"], "count"), f"examples, {g['retired']:,} retired"),
    )
    shown = "".join(
        f"<div><dt>{text(name)}</dt><dd><b>{text(value)}</b> <small>{text(more)}</small></dd></div>"
        for name, value, more in cells
    )
    return f'<dl class="glance">{shown}</dl>'


def _chapter(chapter: Chapter, rows: Sequence[Row]) -> str:
    if rows:
        said = " ".join([*chapter.read(rows), *words.cut_off(rows)])
        body = f'<p class="said">{text(said, 2000)}</p>{_figure(chapter, rows, said)}'
        body += _table(chapter, rows)
    else:
        body = f'<p class="said">{text(chapter.empty, 2000)}</p>'
    title = f'<h2 id="{chapter.key}">{text(chapter.title)}</h2>'
    return f"<section>{title}<p>{text(chapter.question, 2000)}</p>{body}</section>"


def _figure(chapter: Chapter, rows: Sequence[Row], said: str) -> str:
    spoken = f"Chart: {chapter.question} {said} The same numbers are in the table below."
    wide, narrow = (drawn(chapter.draw(rows, width), safe(spoken)) for width in (WIDE, NARROW))
    return f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div></figure>'


def _table(chapter: Chapter, rows: Sequence[Row]) -> str:
    columns = chapter.columns
    heads = "".join(f'<th scope="col"{_side(c)}>{text(c.heading)}</th>' for c in columns)
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    name = text(f"Numbers of: {chapter.title}")
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{name}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(columns: Sequence[Column], row: Row) -> str:
    first, *others = columns
    head = f'<th scope="row">{text(_value(first, row), LONGEST_NAME)}</th>'
    return head + "".join(f"<td{_side(c)}>{text(_value(c, row))}</td>" for c in others)


def _value(column: Column, row: Row) -> str:
    if column.form.endswith(".."):
        low, high = row[f"{column.key}_low"], row[f"{column.key}_high"]
        return words.interval(low, high, column.form[:-2])
    return words.number(row[column.key], column.form)


def _side(column: Column) -> str:
    return "" if column.form == "text" else ' class="number"'


def text(value: object, most: int = LONGEST_TEXT) -> str:
    """Make a text safe for the page: escaped, without controls, not endless."""
    plain = safe(str(value))
    if len(plain) > most:
        plain = plain[: most - 1] + "…"
    return html.escape(plain)


def _fill(name: str) -> str:
    return files("crp_analytics").joinpath("report_page", name).read_text("utf-8")
