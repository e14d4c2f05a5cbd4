"""How long each part of a set-up takes, as stacked bars in SVG: a bar for each level."""

from collections.abc import Sequence
from html import escape

from callers.load.plot import number, ticks
from callers.load.results import SetUp, Spread, Stage

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _FOOT = 940, 60, 64, 24, 4, 22
_PARTS = ("connect", "place", "sdp", "ice", "dtls")
_NAMES = {"connect": "connect", "place": "placement and answer", "sdp": "caller's SDP", "ice": "ICE", "dtls": "DTLS"}


def set_up_bars(stages: Sequence[Stage]) -> str:
    """Empty if no part was measured."""
    found = {stage.callers_wanted: parts for stage in stages if (parts := _parts(stage.set_up))}
    if not found:
        return ""
    levels = sorted(found.items())
    most = ticks(0.0, max(sum(parts.values()) for _, parts in levels))[-1]
    height = _TOP + _ROW * len(levels) + _FOOT
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    drawn = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img"><title>Set-up, part by part</title>']
    drawn.append(f"<desc>{escape(_described(levels))}</desc>")
    for tick in ticks(0.0, most):
        x = _LEFT + tick * scale
        drawn.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{height - _FOOT}"/>')
        drawn.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{number(tick)}</text>')
    for row, (callers, parts) in enumerate(levels):
        x, y = float(_LEFT), _TOP + row * _ROW + 4
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{callers:,}</text>')
        for name, value in parts.items():
            width = value * scale
            style = f"c{1 + _PARTS.index(name)}"
            words = escape(f"{callers} callers, {_NAMES[name]}: {number(value)} ms")
            drawn.append(
                f'<rect class="{style}" x="{x:.1f}" y="{y}" width="{max(0.0, width - 1):.1f}" height="{_ROW - 8}">'
            )
            drawn.append(f"<title>{words}</title></rect>")
            x += width
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 12}">{number(sum(parts.values()))}</text>')
    drawn.append("</svg>")
    return f"<figure><figcaption><b></b>{_keys()}</figcaption>{''.join(drawn)}</figure>"


def _parts(set_up: SetUp) -> dict[str, float]:
    parts: dict[str, Spread | None] = {name: getattr(set_up, f"{name}_ms") for name in _PARTS}
    return {name: spread.p50 for name, spread in parts.items() if spread is not None}


def _described(levels: Sequence[tuple[int, dict[str, float]]]) -> str:
    return "; ".join(
        f"{callers} callers: " + ", ".join(f"{_NAMES[name]} {number(value)} ms" for name, value in parts.items())
        for callers, parts in levels
    )


def _keys() -> str:
    return "".join(
        f'<span class="key"><svg viewBox="0 0 18 8" aria-hidden="true"><rect class="c{1 + index}" y="0" width="12" '
        f'height="8" rx="2"/></svg>{escape(_NAMES[name])}</span>'
        for index, name in enumerate(_PARTS)
    )
