"""Charts as inline SVG: histograms, a scatter and a diagram of reliability, readable without colour and without sight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 10, 22, 38


@dataclass(frozen=True)
class Bin:
    """One bar: values over ``low`` and up to ``high``, and how many there are of each kind, bottom first."""

    low: float
    high: float
    counts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Values of all kinds."""
        return sum(count for _, count in self.counts)


@dataclass(frozen=True)
class Part:
    """Of ``clips`` clips: the mean probability that was ``said``, and the share that is ``labelled`` so."""

    clips: int
    said: float
    labelled: float


@dataclass(frozen=True)
class _Dot:
    x: float
    y: float
    radius: float
    kind: str = ""
    words: str = ""


def nice_step(span: float, pieces: int) -> float:
    """Return the least of 1, 2, 5 times a power of ten that cuts ``span`` into at most ``pieces``."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / pieces))
    for factor in (1, 2, 5, 10):
        if span / (factor * power) <= pieces * (1 + 1e-9):
            return factor * power
    raise AssertionError(f"no step for {span}")


def number(value: float) -> str:
    """Return a value of an axis as short as it can be said: ``0.5``, ``12``, ``−15``."""
    return f"{round(value, 9) + 0.0:.6g}".replace("-", "−")


def histogram(title: str, unit: str, bins: Sequence[Bin]) -> Markup:
    """Return bars over a linear axis in ``unit``, each with its count above it, kinds stacked."""
    low, high = bins[0].low, bins[-1].high
    most = max(item.total for item in bins)
    inner, room = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    base = HEIGHT - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + inner * (value - low) / (high - low)

    parts = []
    for item in bins:
        left, right, top = across(item.low) + 1, across(item.high) - 1, float(base)
        said = ", ".join(f"{count:,} {kind}".strip() for kind, count in item.counts if count)
        parts.append(f"<g><title>{_range(item)} {escape(unit)}: {escape(said) or 0}</title>")
        for kind, count in item.counts:
            tall = room * count / most
            top -= tall
            if count:
                parts.append(
                    f'<rect class="bar {escape(kind)}" x="{left:.1f}" y="{top:.1f}" '
                    f'width="{right - left:.1f}" height="{tall:.1f}"/>'
                )
        if item.total:
            centre = (left + right) / 2
            parts.append(f'<text class="count" x="{centre:.1f}" y="{top - 4:.1f}">{short(item.total)}</text>')
        parts.append("</g>")
    parts += _axis(low, high, unit, across, base)
    total, tallest = sum(item.total for item in bins), max(bins, key=lambda item: item.total)
    label = f"{title}: {total:,} values; most, {most:,}, lie from {_range(tallest)} {unit}"
    return _svg(label, HEIGHT, parts)


def scatter(title: str, unit: str, points: Sequence[tuple[float, float]]) -> Markup:
    """Return points of (asked, achieved) on equal axes, with the line on which both are the same."""
    values = [value for point in points for value in point]
    step = nice_step(max(values) - min(values), 4)
    low, high = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
    high = high if high > low else low + step
    dots = [_Dot(x, y, 2.6) for x, y in points]
    span = f"{number(min(values))} to {number(max(values))} {unit}"
    label = f"{title}: {len(points):,} points from {span}"
    return _square(label, f"asked, {unit}", f"achieved, {unit}", (low, high, step), dots)


def reliability(title: str, stated: Sequence[Part], calibrated: Sequence[Part]) -> Markup:
    """Return what was said against what is so: hollow circles as stated, filled ones calibrated, larger for more clips."""
    most = max(part.clips for part in (*stated, *calibrated))
    dots = [
        _Dot(part.said, part.labelled, 2 + 6 * math.sqrt(part.clips / most), kind, f"{part.clips:,} clips{words}")
        for parts, kind, words in ((stated, "raw", ", as stated"), (calibrated, "", ", calibrated"))
        for part in parts
    ]
    told = "; ".join(
        f"{name}: " + ", ".join(f"{part.labelled:.2f} at {part.said:.2f}" for part in parts)
        for name, parts in (("as stated", stated), ("calibrated", calibrated))
        if parts
    )
    return _square(f"{title}: {told}", "said", "share that is labelled so", (0.0, 1.0, 0.25), dots)


def short(count: int) -> str:
    """Return a count in at most four characters or so: ``950``, ``1.2k``, ``34k``, ``2.1M``."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            said = f"{count / unit:.1f}".removesuffix(".0") if count < 10 * unit else str(count // unit)
            return said + name
    return str(count)


def _square(label: str, across: str, up: str, axis: tuple[float, float, float], dots: Sequence[_Dot]) -> Markup:
    """Return dots on two axes from low to high in steps, with the line on which both are the same."""
    height, size, left, top = 250, 200, 60, 12
    low, high, step = axis

    def place(value: float) -> float:
        return size * (value - low) / (high - low)

    base = top + size
    parts = [
        f'<line class="same" x1="{left}" y1="{base}" x2="{left + size}" y2="{top}"/>',
        f'<rect class="frame" x="{left}" y="{top}" width="{size}" height="{size}"/>',
    ]
    for tick in _ticks(low, high, step):
        at = place(tick)
        parts.append(f'<text class="tick" x="{left + at:.1f}" y="{base + 14}">{number(tick)}</text>')
        parts.append(f'<text class="tick end" x="{left - 6}" y="{base - at + 4:.1f}">{number(tick)}</text>')
    for dot in dots:
        kind, title = f" {dot.kind}" if dot.kind else "", f"<title>{escape(dot.words)}</title>" if dot.words else ""
        x, y = left + place(dot.x), base - place(dot.y)
        circle = f'<circle class="dot{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{dot.radius:.1f}"'
        parts.append(f"{circle}>{title}</circle>" if title else f"{circle}/>")
    parts.append(f'<text class="unit" x="{left + size / 2}" y="{base + 31}">{escape(across)}</text>')
    parts.append(f'<text class="unit" transform="translate(16 {top + size / 2}) rotate(-90)">{escape(up)}</text>')
    return _svg(label, height, parts)


def _range(item: Bin) -> str:
    return f"{number(item.low)} to {number(item.high)}"


def _ticks(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _axis(low: float, high: float, unit: str, across: Callable[[float], float], base: int) -> list[str]:
    parts = [f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{WIDTH - _RIGHT}" y2="{base}"/>']
    for tick in _ticks(low, high, nice_step(high - low, 7)):
        at = across(tick)
        parts.append(f'<line class="axis" x1="{at:.1f}" y1="{base}" x2="{at:.1f}" y2="{base + 4}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{base + 16}">{number(tick)}</text>')
    parts.append(f'<text class="unit" x="{WIDTH / 2}" y="{base + 32}">{escape(unit)}</text>')
    return parts


def _svg(label: str, height: int, parts: list[str]) -> Markup:
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height}">'
    return Markup(f"{opening}{''.join(parts)}</svg>")
