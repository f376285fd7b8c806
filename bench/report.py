"""Results as tables for people, and into `docs/benchmarks.md` between its marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from bench.live import Try, key_of
from bench.results import ROOT, Line
from bench.speed import Row
from bench.stats import holm, interval, sign_flip
from crp.models import ModelProfile, Wire

DOCS = ROOT / "docs" / "benchmarks.md"
SURE = 0.05

Cells = list[list[str]]


class Compared(Wire):
    """A template against the direct answer, over the items that both have answered."""

    template: str
    items: int
    direct: float
    score: float
    lift: float
    low: float
    high: float
    p: float
    p_holm: float = 1.0
    best_of: float | None = None
    direct_tokens: float
    tokens: float
    direct_seconds: float
    seconds: float
    calls: float
    steps: int
    failed: int
    retried: int

    @property
    def verdict(self) -> str:
        if self.lift <= 0:
            return "**does not beat the direct answer**"
        return "better" if self.low > 0 and self.p <= SURE else "higher, not certain"


# -- live -----------------------------------------------------------------------------------------


def compare(wanted: Sequence[Try], lines: Iterable[Line], profile: ModelProfile) -> list[Compared]:
    """Pair the newest results of each item; templates without a pair are left out."""
    found = {key_of(line): line for line in lines}
    have = {(t.template, t.arm, t.item.name): found.get(t.key(profile)) for t in wanted}
    rows = [
        row
        for name in dict.fromkeys(t.template for t in wanted)
        if (row := _compared(name, {k: v for k, v in have.items() if k[0] == name and v}))
    ]
    corrected = holm({row.template: row.p for row in rows})
    return [row.model_copy(update={"p_holm": corrected[row.template]}) for row in rows]


def measured(wanted: Sequence[Try], lines: Iterable[Line], profile: ModelProfile) -> str:
    """Say when and on which commits the lines of these tries were measured."""
    keys = {one.key(profile) for one in wanted}
    used = [line for line in lines if key_of(line) in keys]
    days = sorted({str(line["date"])[:10] for line in used})
    commits = dict.fromkeys(str(line["commit"]) for line in used)
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "nothing measured"
    return f"{when}, commit {', '.join(commits)}" if commits else when


def _compared(name: str, have: dict[tuple[str, str, str], Line]) -> Compared | None:
    def of(arm: str) -> dict[str, Line]:
        return {item: line for (_, a, item), line in have.items() if a == arm}

    direct, template = of("direct"), of("template")
    both = [item for item in template if item in direct]
    if not both:
        return None
    best = [line for (_, arm, _), line in have.items() if arm.startswith("best of")]
    differences = [template[i]["score"] - direct[i]["score"] for i in both]
    low, high = interval(differences)
    steps = [template[item] for item in both]

    def mean(field: str, arm: dict[str, Line]) -> float:
        return fmean(float(arm[item][field]) for item in both)

    return Compared(
        template=name,
        items=len(both),
        direct=mean("score", direct),
        score=mean("score", template),
        lift=fmean(differences),
        low=low,
        high=high,
        p=sign_flip(differences),
        best_of=fmean(line["score"] for line in best) if best else None,
        direct_tokens=mean("tokens", direct),
        tokens=mean("tokens", template),
        direct_seconds=mean("seconds", direct),
        seconds=mean("seconds", template),
        calls=mean("calls", template),
        steps=sum(line["steps"] for line in steps),
        failed=sum(line["failed"] for line in steps),
        retried=sum(line["retried"] for line in steps),
    )


LIVE_HEAD = (
    *("template", "items", "direct", "template", "lift [95%]", "p (Holm)"),
    *("tokens direct → template", "calls", "steps: failed / retried", "seconds", "verdict"),
)


def live_cells(rows: Sequence[Compared]) -> Cells:
    cells = [_live_row(row) for row in rows]
    if len(rows) > 1:
        cells.append(_macro(rows))
    return cells


def _live_row(row: Compared) -> list[str]:
    return [
        row.template,
        str(row.items),
        f"{row.direct:.2f}" + (f" (best of: {row.best_of:.2f})" if row.best_of is not None else ""),
        f"{row.score:.2f}",
        f"{row.lift:+.2f} [{row.low:+.2f}, {row.high:+.2f}]",
        f"{row.p:.3f} ({row.p_holm:.2f})",
        f"{row.direct_tokens:.0f} → {row.tokens:.0f}",
        f"{row.calls:.1f}",
        f"{row.steps}: {row.failed} / {row.retried}",
        f"{row.direct_seconds:.1f} → {row.seconds:.1f}",
        row.verdict,
    ]


def _macro(rows: Sequence[Compared]) -> list[str]:
    lifts = [row.lift for row in rows]
    low, high = interval(lifts)
    beaten = sum(row.lift > 0 for row in rows)
    return [
        "all, each template the same weight",
        str(sum(row.items for row in rows)),
        f"{fmean(row.direct for row in rows):.2f}",
        f"{fmean(row.score for row in rows):.2f}",
        f"{fmean(lifts):+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{sign_flip(lifts):.3f}",
        f"{fmean(r.direct_tokens for r in rows):.0f} → {fmean(r.tokens for r in rows):.0f}",
        f"{fmean(row.calls for row in rows):.1f}",
        f"{sum(r.steps for r in rows)}: {sum(r.failed for r in rows)} / "
        f"{sum(r.retried for r in rows)}",
        f"{fmean(r.direct_seconds for r in rows):.1f} → {fmean(r.seconds for r in rows):.1f}",
        f"{beaten} of {len(rows)} beat it",
    ]


# -- speed ----------------------------------------------------------------------------------------

SPEED_HEAD = ["what", "CPU, median", "smallest to largest", "n", "target", "met", "times ours"]


def speed_cells(rows: Sequence[Row]) -> Cells:
    return [
        [
            row.what,
            _time(row.median),
            f"{_time(row.low)} to {_time(row.high)}",
            f"{row.n:,}",
            _time(row.target) if row.target is not None else "",
            {True: "yes", False: "**no**", None: ""}[row.met],
            f"{row.ratio:.1f}" if row.ratio is not None else "",
        ]
        for row in rows
    ]


def _time(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1_000, "ms")):
        if seconds * factor >= 0.5:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1_000_000:.0f} µs"


# -- markdown -------------------------------------------------------------------------------------


def markdown(head: Sequence[str], cells: Cells, under: str) -> str:
    lines = [head, ["---"] * len(head), *cells]
    table = "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)
    return f"{table}\n\n{under}"


def write_docs(mark: str, text: str, path: Path = DOCS) -> None:
    """Put a text between `<!-- mark -->` and `<!-- end of mark -->`."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, found, rest = path.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path.name} has no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")
