"""How well a call would be judged: the E-model of ITU-T G.107 (06/2015), reduced to delay and loss.

R = 93.2 - Idd - Ie,eff: all other parameters of G.107 have their default values, there is no echo, and no advantage
factor. The scale is that of narrowband telephony, where 4.41 is the best, so that figures compare with those of other
tools. The scales of G.107.1 (wideband) and G.107.2 (fullband) reach higher. They need values for Opus that the ITU-T
has not published.

What is assumed of Opus: Ie = 0, because listeners judge wideband Opus at 20 kbit/s and more better than narrowband
G.711 (Rämö, Toukomaa: "Voice quality characterization of IETF Opus codec", Interspeech 2011); Bpl = 25.1, the value of
G.711 with packet loss concealment (G.113, Appendix I), because Opus conceals too. Its FEC, where it is used, does
better than that.
"""

import math

BEST_R = 93.2
OPUS_IE = 0.0
OPUS_BPL = 25.1
_NOTICED_MS = 100.0
"""mT: no shorter delay is noticed (G.107, table 1: default sensitivity, where sT is 1)."""


def delay_impairment(mouth_to_ear_ms: float) -> float:
    """Idd, G.107 §7.4. One way."""
    if mouth_to_ear_ms <= _NOTICED_MS:
        return 0.0
    x = math.log2(mouth_to_ear_ms / _NOTICED_MS)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(
    loss_percent: float, burst_ratio: float = 1.0, ie: float = OPUS_IE, robustness: float = OPUS_BPL
) -> float:
    """Ie,eff, G.107 §7.5. `burst_ratio` is 1 for random loss, and above it for loss in bursts."""
    return ie + (95 - ie) * loss_percent / (loss_percent / max(1.0, burst_ratio) + robustness)


def rating(mouth_to_ear_ms: float, loss_percent: float, burst_ratio: float | None = None) -> float:
    """R, from 0 to 93.2. `loss_percent` includes packets that came too late to be played."""
    impairment = delay_impairment(mouth_to_ear_ms) + loss_impairment(loss_percent, burst_ratio or 1.0)
    return max(0.0, BEST_R - impairment)


def mos_of_rating(r: float) -> float:
    """MOS-CQE, from 1 to 4.5: G.107, annex B."""
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def mos(mouth_to_ear_ms: float, loss_percent: float, burst_ratio: float | None = None) -> float:
    """From 1 to 4.41."""
    return mos_of_rating(rating(mouth_to_ear_ms, loss_percent, burst_ratio))
