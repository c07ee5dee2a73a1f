"""The verdict in words: what was seen, how sure it is, and what it would take to be sure."""

from __future__ import annotations

from earthsynth_factory.evaluation.intervals import Difference
from earthsynth_factory.report.html.markup import number


def interval(gap: Difference) -> str:
    """`+2.1 [0.8, 3.4]`."""
    return f"{signed(gap.mean)} [{signed(gap.low)}, {signed(gap.high)}]"


def signed(value: float) -> str:
    """One decimal with its sign; a real minus."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def verdict(gap: Difference, metric: str, scenes: int, by_image: bool) -> str:
    """What the difference says. scenes: units of the test that were resampled."""
    seen = f"{interval(gap)} points of {metric}"
    if gap.word != "no effect seen":
        return f"{gap.word}: {seen}"
    if gap.needed is None:
        units = "images" if by_image else "scenes"
        return f"no effect seen: {seen}; no number of seeds would show one this small on {number(scenes)} test {units}"
    return (
        f"no effect seen: {seen}; {max(gap.needed, len(gap.by_seed) + 1)} seeds would be needed for the difference seen"
    )


def about_noise(gap: Difference, beyond: Difference) -> str:
    """What the control adds: whether noise under the same labels does as much. beyond: the arm against the control."""
    if gap.word == "helps" and beyond.low <= 0:
        return f"; but not surely more than noise with the same labels ({interval(beyond)}): it may not be the images"
    if gap.word == "harms" and beyond.high >= 0:
        return f"; so does noise with the same labels ({interval(beyond)} beside it)"
    return ""
