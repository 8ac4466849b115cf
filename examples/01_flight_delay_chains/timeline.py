"""One aircraft's day as a picture: in text, and as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Leg:
    """One departure from New York. Times are minutes after midnight; an absent one was not recorded."""

    route: str
    variable: str
    scheduled: int
    delay: int | None

    @property
    def departed(self) -> int:
        return self.scheduled + (self.delay or 0)


def clock(minute: int) -> str:
    """`125` is `02:05`; past midnight it goes on, `25:10`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def as_text(legs: list[Leg], width: int = 56) -> str:
    """A line a leg: `|` where it should have left, `=` while it waited, `>` where it left."""
    first, last = _span(legs)
    per_cell = (last - first) / (width - 1)
    lines = [f"{'':24}{clock(first)}{clock(last):>{width - 5}}"]
    for leg in legs:
        start, end = (round((minute - first) / per_cell) for minute in (leg.scheduled, leg.departed))
        cells = ["·"] * width
        if end > start:
            cells[start:end] = "=" * (end - start)
        cells[end] = ">"
        cells[start] = "|"
        lines.append(f"{leg.route:<9}{leg.variable:<10}{_signed(leg.delay):>4} {''.join(cells)}")
    return "\n".join(lines)


def as_svg(legs: list[Leg], title: str) -> str:
    """The same as a picture, written by hand so that no plotting library is needed."""
    first, last = _span(legs)
    left, right, top, line = 170, 690, 56, 30
    height = top + line * len(legs) + 20
    colours = {"root": "#c2410c", "handed_on": "#e8a33d", "recovered": "#3f8f5f"}

    def x(minute: int) -> float:
        return left + (minute - first) / (last - first) * (right - left)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="760" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for hour in range(-(-first // 60), last // 60 + 1, 2):
        at = f"{x(hour * 60):.1f}"
        parts.append(f'<line x1="{at}" x2="{at}" y1="{top - 8}" y2="{height - 16}" stroke="#e5e7eb"/>')
        parts.append(
            f'<text x="{x(hour * 60):.1f}" y="{top - 12}" text-anchor="middle" fill="#6b7280">{clock(hour * 60)}</text>'
        )
    for row, leg in enumerate(legs):
        y = top + row * line + 8
        start, end = sorted((x(leg.scheduled), x(leg.departed)))
        parts.append(f'<text x="16" y="{y + 9}">{escape(leg.route)} · {escape(leg.variable)}</text>')
        parts.append(
            f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 2):.1f}" height="12" rx="2" '
            f'fill="{colours.get(leg.variable, "#9ca3af")}"/>'
        )
        parts.append(f'<text x="{end + 4:.1f}" y="{y + 10}" fill="#374151">{_signed(leg.delay)} min</text>')
    return "\n".join([*parts, "</svg>", ""])


def _span(legs: list[Leg]) -> tuple[int, int]:
    """Whole hours around everything that is drawn."""
    minutes = [minute for leg in legs for minute in (leg.scheduled, leg.departed)]
    return min(minutes) // 60 * 60, (max(minutes) // 60 + 1) * 60


def _signed(minutes: int | None) -> str:
    return "?" if minutes is None else f"{minutes:+d}"
