"""The report's charts: Vega-Lite descriptions, drawn as SVG by vl-convert. No network, no script.

Colours are variables of the page's style sheet, so one drawing is right in light and in dark.
Nothing of the data is ever read as code: field names and expressions are ours, values are values.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]

WIDE, NARROW = 680, 330
"""Pixels; the page shows the one that fits the screen."""

INK, MUTED, GRID = "var(--ink)", "var(--muted)", "var(--grid)"
FIRST, SECOND = "var(--first)", "var(--second)"
LINE_STEP = 26
BETWEEN = " · "
"""Between the parts of a name."""


def over_time(rows: Sequence[Row], field: str, title: str, width: int) -> Spec:
    """Draw means of 0 to 1 as points on a line, with their intervals as a band."""
    values = [{**_picked(row, field), "at": _millis(row["period"])} for row in rows]
    labels = _spread([value["at"] for value in values], 6 if width == WIDE else 3)
    axis = {"values": labels, "format": "%-d %b %Y", "labelOverlap": False, "grid": False}
    at = {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "title": None, "axis": axis}
    band = {"mark": {"type": "area", "color": FIRST, "opacity": 0.18}, "encoding": _ends("y")}
    whisker = {"mark": {"type": "rule", "color": FIRST, "opacity": 0.5}, "encoding": _ends("y")}
    height = {"field": "value", "type": "quantitative", "title": title, "scale": _zero_to_one()}
    line = {"mark": {"type": "line", "color": FIRST, "point": _dot()}, "encoding": {"y": height}}
    return _spec(values, width, 220, [band, whisker, line], {"x": at})


def dots(
    rows: Sequence[Row],
    field: str,
    title: str,
    width: int,
    *,
    zero: bool = False,
    share: bool = False,
) -> Spec:
    """Draw a value for each name as a dot with its interval; `zero` draws the line of no effect."""
    values = _named([_picked(row, field) for row in rows], width)
    x = {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": True}}
    x["axis"] = _ticks(width) | ({"format": ".0%"} if share else {})
    layers: list[Spec] = []
    if zero:
        rule = {"type": "rule", "color": MUTED, "strokeDash": [4, 3]}
        layers.append({"mark": rule, "encoding": {"x": {"datum": 0}, "y": None}})
    interval = {"type": "rule", "color": FIRST, "strokeWidth": 2}
    layers.append({"mark": interval, "encoding": _ends("x")})
    layers.append({"mark": _dot(), "encoding": {"x": x}})
    return _spec(values, width, {"step": LINE_STEP}, layers, {"y": _names(width)})


def bars(
    rows: Sequence[Row], fields: dict[str, str], title: str, width: int, *, stack: bool = True
) -> Spec:
    """Draw one bar for each name, made of one or two fields with a name each.

    Without `stack` the second field is a tick on the bar of the first.
    """
    values = [
        {"name": row["name"], "kind": kind, "value": row[field]}
        for row in _named(rows, width)
        for field, kind in fields.items()
        if row[field] is not None
    ]
    legend = {"title": None, "orient": "top", "symbolType": "square"}
    colours = {"domain": list(fields.values()), "range": [FIRST, SECOND][: len(fields)]}
    colour = {"field": "kind", "scale": colours, "legend": legend if len(fields) > 1 else None}
    x: Spec = {"field": "value", "type": "quantitative", "title": title, "axis": _ticks(width)}
    if stack:
        order = {"field": "kind", "sort": "ascending"}
        layers = [{"mark": BAR, "encoding": {"x": x, "color": colour, "order": order}}]
    else:
        first, second = fields.values()
        x["stack"] = None
        layers = [
            {**_only(first), "mark": BAR, "encoding": {"x": x, "color": colour}},
            {
                **_only(second),
                "mark": {"type": "tick", "thickness": 3, "size": 18, "opacity": 1},
                "encoding": {"x": x, "color": colour},
            },
        ]
    return _spec(values, width, {"step": LINE_STEP}, layers, {"y": _names(width)})


def drawn(spec: Spec, words: str) -> str:
    """Draw a description as SVG; `words` is what is read out instead of it."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(words)}" ', 1)


def _spec(
    values: list[Row], width: int, height: int | Spec, layers: list[Spec], shared: Spec
) -> Spec:
    return {
        "data": {"values": values},
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "encoding": shared,
        "layer": layers,
        "background": None,
        "padding": 4,
        "config": CONFIG,
    }


def _picked(row: Row, field: str) -> Row:
    picked = {"value": row[field], "low": row[f"{field}_low"], "high": row[f"{field}_high"]}
    return {"parts": row["parts"], **picked}


def _ends(side: str) -> Spec:
    return {
        side: {"field": "low", "type": "quantitative"},
        f"{side}2": {"field": "high"},
    }


def _names(width: int) -> Spec:
    room = 215 if width == WIDE else 130
    axis = {"labelLimit": 0, "minExtent": room, "ticks": False, "domain": False}
    return {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": axis}


def _named(rows: Sequence[Row], width: int) -> list[Row]:
    """Rows with names short enough for the chart, and no two alike."""
    most, taken, named = (29 if width == WIDE else 17), set(), []
    for number, row in enumerate(rows, 1):
        name = _shortened(row["parts"], most)
        if name in taken:
            name = f"{_shortened(row['parts'], most - 4)} #{number}"
        taken.add(name)
        named.append({**row, "name": name})
    return named


def _shortened(parts: Sequence[str], most: int) -> str:
    """Cut the longest part until all of them fit."""
    kept = list(parts)
    while len(BETWEEN.join(kept)) > most:
        place = max(range(len(kept)), key=lambda i: len(kept[i]))
        kept[place] = kept[place].removesuffix("…")[:-1] + "…"
    return BETWEEN.join(kept)


def _ticks(width: int) -> Spec:
    return {"tickCount": 6 if width == WIDE else 3, "labelOverlap": True, "labelSeparation": 16}


def _only(kind: str) -> Spec:
    return {"transform": [{"filter": {"field": "kind", "equal": kind}}]}


def _dot() -> Spec:
    return {"type": "point", "filled": True, "size": 55, "color": FIRST, "opacity": 1}


def _zero_to_one() -> Spec:
    return {"domain": [0, 1]}


def _millis(day: str) -> int:
    at = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return int(at.timestamp() * 1000)


def _spread(values: Sequence[int], most: int) -> list[int]:
    """Some of the values, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    steps = [round(i * (len(values) - 1) / (most - 1)) for i in range(most)]
    return [values[step] for step in steps]


BAR: Spec = {"type": "bar", "size": 16}

CONFIG: Spec = {
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
    },
    "legend": {"labelColor": INK, "labelFontSize": 12, "symbolOpacity": 1},
}
