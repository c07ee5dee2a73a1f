"""Images generated for masks, each kept as a file named after all that decides it: a kill costs one batch."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.synthesis.base import ImageGenerator
from research.embedded.crops import CropSet


class GeneratedImages:
    """A generator (opened) with a folder of what it has made. `identity`: what else decides its pixels, plain JSON."""

    def __init__(self, generator: ImageGenerator, identity: object, folder: Path) -> None:
        self._generator = generator
        self._identity = json.dumps(identity, sort_keys=True)
        self._folder = folder

    def of(self, conditions: Sequence[Condition], what: str) -> list[Image]:
        """An image (H, W, 3) for each condition, its seed being the condition's; `what` is the word for progress."""
        paths = [self._folder / f"{self._key(condition)}.png" for condition in conditions]
        found = [_read(path, condition) for path, condition in zip(paths, conditions, strict=True)]
        missing = [place for place, image in enumerate(found) if image is None]
        progress = _Progress(what, len(missing))
        for start in range(0, len(missing), self._generator.batch):
            places = missing[start : start + self._generator.batch]
            chosen = [conditions[place] for place in places]
            for place, image in zip(places, self._generator.generate(chosen, [c.seed for c in chosen]), strict=True):
                write_bytes(paths[place], encode_png(image), durable=False)
                found[place] = image
            progress.add(len(places))
        return [image for image in found if image is not None]

    def _key(self, condition: Condition) -> str:
        facts = f"{self._identity}\x1f{condition.prompt}\x1f{condition.seed}\x1f{condition.mask.shape}\x1f"
        return hashlib.blake2b(facts.encode() + condition.mask.tobytes(), digest_size=16).hexdigest()


def conditions_of(crops: CropSet, card: ModelCard, seed: int, source: str) -> list[Condition]:
    """The crops' masks as conditions, with prompts in the model's own template. Instances are not told apart."""
    writer = PromptWriter(earthsynth(), card.prompt_template, card.scales)
    conditions = []
    for place, (mask, scale) in enumerate(zip(crops.masks, crops.metres_per_pixel.tolist(), strict=True)):
        prompt = writer.write(np.unique(mask).tolist(), scale)
        origin = Origin(source, str(place))
        instances = np.zeros(mask.shape, np.uint16)
        conditions.append(
            Condition(mask, instances, prompt, scale, derive(seed, source, place), origin, known_instances=False)
        )
    return conditions


def with_images(crops: CropSet, images: Sequence[Image]) -> CropSet:
    """The same crops with other images: masks, scales and what is labelled stay."""
    return CropSet(np.stack(images), crops.masks, crops.metres_per_pixel, crops.focus, crops.dense)


def _read(path: Path, condition: Condition) -> Image | None:
    """The image kept at `path`; None if there is none, or a damaged one, so that it is made again."""
    if not path.is_file():
        return None
    image = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[:2] != condition.mask.shape:
        return None
    return np.asarray(image[..., ::-1], np.uint8)


class _Progress:
    """Count, rate and time left on stderr, at most every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._start = self._shown = time.monotonic()

    def add(self, count: int) -> None:
        """Counts images as made."""
        self._done += count
        now = time.monotonic()
        if now - self._shown < 5 and self._done < self._total:
            return
        self._shown = now
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate / 60
        print(
            f"{self._what} {self._done}/{self._total}  {rate:.1f} images/s  {left:.1f} min left",
            file=sys.stderr,
            flush=True,
        )
