"""`python -m tests.benchmarks.filtering`: the filter's throughput against the plain loop, and how well rules tell
planted wrong pairs from right ones (ROC-AUC), on the real samples and the embedded CLIP.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.models.clip import load_clip
from earthsynth_factory.rfilter.base import MeasuredRule
from earthsynth_factory.run.filtering.decide import Limits, learn, verdict
from earthsynth_factory.run.filtering.scores import Row
from earthsynth_factory.run.filtering.scoring import asked
from earthsynth_factory.run.filtering.spec import FilterSpec, build_rules
from tests.rfilter.planted import area_under_curve, degenerate, right_pairs, swapped, wrong_class

TARGETS = [1, 2, 4, 6, 8, 12, 17, 21, 25]
SHIP = 17


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _table(folder)
        _throughput(folder)


def _table(folder: Path) -> None:
    pairs = right_pairs(folder)
    spec = FilterSpec(
        rules=("image_quality", "artefacts", "object_size", "clip_score", "instance_class", "region_contrast",
               "layout_agreement"),
    )  # fmt: skip
    with_segmenter = FilterSpec.model_validate({"rules": [{"kind": "layout_agreement", "segmenter": "embedded"}]})
    rules = [
        (block.kind + (", segmenter" if block in with_segmenter.rules else ""), rule)
        for of in (spec, with_segmenter)
        for block, rule in build_rules(of, earthsynth(), TARGETS, Path(), "cpu")
    ]
    wrong = {"swapped masks": swapped(pairs), "wrong class": wrong_class(pairs, SHIP), **degenerate(pairs)}
    print(f"{len(pairs)} right pairs\nrule | " + " | ".join(wrong))
    for name, rule in rules:
        rule.open()
        right = _values(rule, pairs)
        areas = [area_under_curve(right, _values(rule, made)) for made in wrong.values()]
        print(f"{name} | " + " | ".join(f"{area:.2f}" for area in areas))
    _false_rejects(pairs)


def _false_rejects(pairs: list) -> None:  # type: ignore[type-arg]
    """Every other right pair calibrates, the rest is judged by what was learnt."""
    spec = FilterSpec()
    rules = asked(build_rules(spec, earthsynth(), TARGETS, Path(), "cpu"), earthsynth(), TARGETS, Path())
    rows = [Row(str(n), "", pair.slot.category) for n, pair in enumerate(pairs)]
    for rule in rules:
        rule.rule.open()
        for row, numbers in zip(rows, rule.rule.measure(pairs), strict=True):
            row.measured[rule.name] = {"settings": rule.settings, "measures": dict(numbers)}
    limits = Limits.of(spec, earthsynth(), learn(spec, rules, rows[::2], True))
    for name, part in (("calibrated on", rows[::2]), ("not seen", rows[1::2])):
        refused = np.mean([verdict(spec, rules, limits, row)[0] is False for row in part])
        print(f"real pairs {name}: {refused:.0%} of {len(part)} refused")


def _values(rule: MeasuredRule, candidates: list) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([rule.decide(numbers, None).value for numbers in rule.measure(candidates)])


def _throughput(folder: Path) -> None:
    """Whole images and eight crops each: one at a time as a user's loop, batched as the filter."""
    pictures = []
    for number, pair in enumerate(right_pairs(folder)[:24]):
        pictures.append(folder / f"{number}.png")
        PIL.Image.fromarray(pair.image).save(pictures[-1])
    clip = load_clip("embedded", Path(), "cpu")
    boxes = [(x, y, 48, 48) for x in (0, 16, 32, 48) for y in (0, 48)]
    clip.images([np.zeros((96, 96, 3), np.uint8)] * 16)

    def views(path: Path) -> list[np.ndarray]:
        image = np.asarray(PIL.Image.open(path).convert("RGB"))
        return [image, *(np.ascontiguousarray(image[y : y + h, x : x + w]) for x, y, w, h in boxes)]

    start = time.perf_counter()
    with torch.inference_mode():
        plain = [
            clip._model.encode_image(clip._preprocess(PIL.Image.fromarray(view))[None], normalize=True)[0]
            for path in pictures
            for view in views(path)
        ]
    loop = time.perf_counter() - start
    start = time.perf_counter()
    batched = clip.images([view for path in pictures for view in views(path)])
    ours = time.perf_counter() - start
    gap = float((torch.stack(plain) - batched).abs().max())
    print(f"{loop / ours:.2f} × the plain loop's images/s; largest difference of a vector's number {gap:.1e}")


if __name__ == "__main__":
    main()
