"""A commented recipe that makes what a dataset lacks; beside every line stands the number it was written for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import orjson

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.evaluation.gaps import SIZES, Errors, Inventory, Stock

CONTEXTS, MOST_NEGATIVE = 3, 0.25
"""Classes around an object that are named; share of images without any class at most."""
WORSE = 1.5
"""A size that is missed this many times as often as all are is made more often."""
LEAST_NEED = 0.05
"""What a class without errors still gets, in parts of what one that is always missed gets."""


def next_recipe(found: Inventory, errors: Mapping[str, Errors], source: str, name: str, count: int, model: str) -> str:
    """YAML. count: images to make. errors: empty if none are known; then scarcity alone decides."""
    needs = {one.name: _need(one, errors.get(one.name), found) for one in found.stock.values()}
    negatives, why = _negatives(errors, count)
    shares = _dealt(needs, count - negatives)
    ordered = sorted(found.stock.values(), key=lambda one: (-shares[one.name], one.name))
    lines = [
        f"# What {_line(name)} lacks, by {_line(source)}.",
        "# need = scarcity × error: √(images of the median class / images of this one) × share missed.",
        "# Look at what it would make: `earthsynth-factory plan`; make it: `build`; judge it: `evaluate --compare`.",
        "",
        f"name: {_quoted(_line(f'next for {name}')[:80])}",
        "seed: 1",
        "",
        *_image(found),
        "",
        "categories:",
        *(line for one in ordered if shares[one.name] for line in _category(one, shares[one.name], errors, found)),
        *(
            f"  # {_line(one.name)}: none; {_reason(one, errors.get(one.name), found)}"
            for one in ordered
            if not shares[one.name]
        ),
        f"negatives: {negatives} # {_line(why)}",
        "",
        "conditions:",
        "  # for layouts of real places add `kind: dataset` or `kind: compose` with the real masks",
        f"  - {{kind: procedural, background: {_background(found)}}}",
        "",
        f"synthesis: {{model: {model}}}",
        "",
        "rfilter:",
        "  candidates: 2",
        "  rules: [image_quality]",
        "",
        "splits: {train: 1.0} # it is to be trained on; val and test stay real",
        "exports: [coco, semantic]",
        "",
    ]
    return "\n".join(lines)


def _background(found: Inventory) -> str:
    """Land cover everywhere, if the real masks have any."""
    return "sparse" if all(one.thing for one in found.stock.values()) else "dense"


def _need(one: Stock, own: Errors | None, found: Inventory) -> float:
    median = float(np.median([other.images for other in found.stock.values()]))
    scarcity = math.sqrt(median / max(1, one.images))
    return scarcity * (1.0 if own is None else max(LEAST_NEED, own.miss))


def _dealt(needs: Mapping[str, float], count: int) -> dict[str, int]:
    """Whole numbers that sum to `count`, by largest remainder."""
    total = sum(needs.values()) or 1
    exact = {name: count * need / total for name, need in needs.items()}
    whole = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[: count - sum(whole.values())]:
        whole[name] += 1
    return whole


def _image(found: Inventory) -> Iterator[str]:
    side = max(16, 8 * round(found.side / 8))
    scales = [scale for one in found.stock.values() for scale in one.scales]
    yield "image:"
    yield f"  size: {side} # as most of the real images"
    if scales:
        yield f"  metres_per_pixel: {_span(scales)} # the middle four fifths of the real images"


def _category(one: Stock, share: int, errors: Mapping[str, Errors], found: Inventory) -> Iterator[str]:
    """One line, its reasons above it."""
    own = errors.get(one.name)
    keys = [f"name: {_quoted(one.name)}", f"count: {share}"]
    reasons = [f"{share} images: {_reason(one, own, found)}"]
    if earthsynth().find(one.name) is None:
        keys.append(f"thing: {'true' if one.thing else 'false'}")
    if one.thing and one.counts:
        low, high = _quantiles(one.counts)
        few, many = max(1, round(low)), max(1, round(high))
        keys.append(f"instances: {few}" if few == many else f"instances: {few}..{many}")
        reasons.append("instances as in the middle four fifths of its real images")
    size = _size(one, own, found) if one.thing and one.sizes and one.scales else None
    if size:
        keys.append(f"size: {size[0]}")
        reasons.append(size[1])
    context = _context(one)
    if context:
        keys.append(f"context: [{', '.join(map(_quoted, context))}]")
        reasons.append("context: what most often lies around it")
    yield from (f"  # {_line(reason)}" for reason in reasons)
    yield f"  - {{{', '.join(keys)}}}"


def _reason(one: Stock, own: Errors | None, found: Inventory) -> str:
    words = f"in {one.images} of {found.images} real images"
    if own is None or not own.truth.total():
        return words + ("" if own is None else ", not in the test")
    words += f", {own.miss:.0%} missed"
    wrong, times = own.confused.most_common(1)[0] if own.confused else ("", 0)
    if times > 0.1 * own.truth.total():
        words += f" ({times / own.truth.total():.0%} taken for {wrong})"
    return words


def _size(one: Stock, own: Errors | None, found: Inventory) -> tuple[str, str] | None:
    """Metres of the longer side, and why. The sizes that are missed most, or as they are."""
    metres = float(np.median(one.scales))
    worst = _worst(own)
    sides = np.array(one.sizes)
    if own is not None and worst:
        bounds = {"small": (0, 32), "medium": (32, 96), "large": (96, 1e9)}[worst]
        kept = sides[(sides / found.side * 640 >= bounds[0]) & (sides / found.side * 640 < bounds[1])]
        if len(kept) >= 5:
            rate = own.missed[worst] / own.truth[worst]
            return _span(kept * metres), f"size of its {worst} ones, {rate:.0%} of which are missed"
    return _span(sides * metres), "size, in metres, as in the middle four fifths of the real ones"


def _worst(own: Errors | None) -> str | None:
    if own is None:
        return None
    rates = {size: own.missed[size] / own.truth[size] for size in SIZES if own.truth[size] >= 5}
    worst = max(rates, key=lambda size: rates[size], default=None)
    return worst if worst and rates[worst] > WORSE * own.miss else None


def _context(one: Stock) -> list[str]:
    known = [name for name, _ in one.context.most_common() if (found := earthsynth().find(name)) and not found.thing]
    return known[:CONTEXTS] if one.thing else []


def _negatives(errors: Mapping[str, Errors], count: int) -> tuple[int, str]:
    seen, made_up = (sum(getattr(one, key) for one in errors.values()) for key in ("seen", "hallucinated"))
    if not seen:
        return round(count * 0.05), "a few, for no errors are known"
    share = made_up / seen
    worst = max(errors, key=lambda name: errors[name].invention * errors[name].seen)
    return (
        round(count * min(MOST_NEGATIVE, share / 2)),
        f"{share:.0%} of what is seen is not there, most of it {worst}",
    )


def _quantiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(np.asarray(values, float), [0.1, 0.9])
    return float(low), float(high)


def _span(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    low, high = _quantiles(list(values))
    return f"{low:.3g}" if math.isclose(low, high, rel_tol=0.01) else f"{low:.3g}..{high:.3g}"


def _line(text: str) -> str:
    """On one line: what others wrote must not leave its comment."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _quoted(text: str) -> str:
    """A name for a line of YAML: plain words as they are, anything else as JSON writes it."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*( [A-Za-z0-9]+)*", text) and text.lower() not in _YAML_WORDS:
        return text
    return orjson.dumps(text).decode()


_YAML_WORDS = {"no", "yes", "on", "off", "null", "true", "false", "n", "y"}
