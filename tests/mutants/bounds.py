"""What a random sample says of all."""

import math

DEVIATIONS = 1.96
"""95 %."""


def shares(noticed: int, tried: int) -> tuple[float, float]:
    """Between which shares that of all mistakes lies, with 95 % confidence: Wilson's interval."""
    if not tried:
        return 0.0, 1.0
    share, square = noticed / tried, DEVIATIONS**2 / tried
    half = DEVIATIONS * math.sqrt(share * (1 - share) / tried + square / tried / 4)
    return (share + square / 2 - half) / (1 + square), (share + square / 2 + half) / (1 + square)
