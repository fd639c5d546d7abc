"""A chart of lines over two logarithmic axes, as SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 380, 60, 190, 16, 44
#: Told apart on a light and on a dark page, and by the colour-blind.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#888888",
    "#7a5cd6",
    "#8a6d3b",
    "#b22222",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named line."""

    name: str
    #: Above zero, both.
    points: Sequence[tuple[float, float]]


def drawn(lines: Sequence[Line], *, x: str, y: str) -> str:
    """Return the chart's SVG; `x` and `y` label the axes."""
    return "\n".join(_parts(lines, x, y)) + "\n"


def _parts(lines: Sequence[Line], x: str, y: str) -> Iterator[str]:
    xs = _decades([point[0] for line in lines for point in line.points])
    ys = _decades([point[1] for line in lines for point in line.points])
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#888888" role="img">'
    )
    yield f"<title>{escape(y)} by {escape(x)}</title>"
    for decade in range(xs[0], xs[1] + 1):
        at = _x(10.0**decade, xs)
        yield f'<path d="M{at:.0f} {TOP}V{HEIGHT - BOTTOM}" stroke="#88888833"/>'
        yield _text(at, HEIGHT - BOTTOM + 16, "middle", _label(decade))
    for decade in range(ys[0], ys[1] + 1):
        at = _y(10.0**decade, ys)
        yield f'<path d="M{LEFT} {at:.0f}H{WIDTH - RIGHT}" stroke="#88888833"/>'
        yield _text(LEFT - 6, at + 4, "end", _label(decade))
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "middle", x)
    turned = f"translate(14 {HEIGHT / 2}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle">{escape(y)}</text>'
    for index, line in enumerate(lines):
        yield from _line(line, COLOURS[index % len(COLOURS)], index, xs, ys)
    yield "</svg>"


def _line(
    line: Line, colour: str, index: int, xs: tuple[int, int], ys: tuple[int, int]
) -> Iterator[str]:
    at = [(_x(px, xs), _y(py, ys)) for px, py in line.points]
    path = "L".join(f"{px:.1f} {py:.1f}" for px, py in at)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for px, py in at:
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>'
    height = TOP + 14 + index * 20
    yield f'<circle cx="{WIDTH - RIGHT + 14}" cy="{height - 4}" r="4" fill="{colour}"/>'
    yield _text(WIDTH - RIGHT + 24, height, "start", line.name)


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten between which all values lie."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _x(value: float, decades: tuple[int, int]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * _share(value, decades)


def _y(value: float, decades: tuple[int, int]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, decades)


def _share(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def _label(decade: int) -> str:
    return f"{10**decade:,}" if decade >= 0 else f"{10.0**decade:g}"
