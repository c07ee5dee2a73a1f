"""`python -m tests.benchmarks.filtering`: the filter's throughput against the plain loop, and how well rules tell
planted wrong pairs from right ones (ROC-AUC), on the real samples and the embedded CLIP.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import torch

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.filtering.columns import Known
from earthsynth_factory.filtering.scoring import asked_rules
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.filtering.thresholds import keeps, learn
from earthsynth_factory.models.clip import load_clip
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.rfilter.base import MeasuredRule
from earthsynth_factory.rfilter.judge import Judge, Limits, build_rules
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
        (asked.name + (", segmenter" if asked.spec in with_segmenter.rules else ""), asked.rule)
        for of in (spec, with_segmenter)
        for asked in build_rules(of.rules, StageContext(earthsynth(), TARGETS, Path(), "cpu"))
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
    context = StageContext(earthsynth(), TARGETS, Path(), "cpu")
    rules = asked_rules(spec.rules, context)
    measured: list[dict[str, Mapping[str, float]]] = [{} for _ in pairs]
    for rule in rules:
        rule.rule.open()
        for found, numbers in zip(measured, rule.rule.measure(pairs), strict=True):
            found[rule.name] = numbers
    images = [Known(pair.slot.category, True, found) for pair, found in zip(pairs, measured, strict=True)]
    judge = Judge(rules, Limits(learnt=learn(spec, rules, images[::2], True)), spec.expression())
    for name, part in (("calibrated on", images[::2]), ("not seen", images[1::2])):
        refused = np.mean([keeps(judge, image) is False for image in part])
        print(f"real pairs {name}: {refused:.0%} of {len(part)} refused")


def _values(rule: MeasuredRule, candidates: list) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([rule.decide(numbers, None).value for numbers in rule.measure(candidates)])


def _throughput(folder: Path) -> None:
    """Whole images and eight crops each: one at a time as a user's loop with open_clip's own model, batched as the filter.

    The best of three rounds in turn, by the clock and by the processor's time, which other work on the machine spares.
    """
    pictures = []
    for number, pair in enumerate(right_pairs(folder)[:24]):
        pictures.append(folder / f"{number}.png")
        PIL.Image.fromarray(pair.image).save(pictures[-1])
    clip = load_clip("embedded", Path(), "cpu")
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{EMBEDDED / 'clip'}", weights_only=True)
    model.eval()
    boxes = [(x, y, 48, 48) for x in (0, 16, 32, 48) for y in (0, 48)]

    def views(path: Path) -> list[np.ndarray]:
        image = np.asarray(PIL.Image.open(path).convert("RGB"))
        return [image, *(np.ascontiguousarray(image[y : y + h, x : x + w]) for x, y, w, h in boxes)]

    @torch.inference_mode()
    def loop() -> torch.Tensor:
        return torch.stack(
            [
                model.encode_image(preprocess(PIL.Image.fromarray(view))[None], normalize=True)[0]
                for path in pictures
                for view in views(path)
            ]
        )

    def batched() -> torch.Tensor:
        return clip.images([view for path in pictures for view in views(path)])

    gap = float((loop() - batched()).abs().max())
    rounds = np.array([[_seconds(loop), _seconds(batched)] for _ in range(3)])  # (round, which, clock)
    wall, busy = rounds.min(axis=0)[0] / rounds.min(axis=0)[1]
    print(
        f"{wall:.2f} × the plain loop's images/s ({busy:.2f} × by processor time); largest difference of a vector's "
        f"number {gap:.1e}"
    )


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
