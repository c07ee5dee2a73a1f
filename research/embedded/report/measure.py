"""The whole measurement in order. What takes long (images, segmenters) is kept in the run folder and never made twice."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.evaluation.features import FeatureExtractor
from earthsynth_factory.evaluation.kid import Features
from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.models.clip import ClipModel, load_clip
from earthsynth_factory.models.clip_files import clip_identity
from earthsynth_factory.models.device import pick_device
from earthsynth_factory.models.registry import files_of
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.rfilter.clip_score import ClipScoreSpec
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from research.embedded.captions import categories_in
from research.embedded.crops import CropSet
from research.embedded.pack import unpack
from research.embedded.report.distance import Distance, across_halves
from research.embedded.report.fidelity import MaskFidelity, mask_fidelity
from research.embedded.report.generated import GeneratedImages, conditions_of, with_images
from research.embedded.report.reconstruction import Reconstruction, compare, reconstruct
from research.embedded.report.selection import balanced
from research.embedded.report.separation import Separation, separate
from research.embedded.report.sheets import write_sheets
from research.embedded.report.sizes import Size
from research.embedded.report.usefulness import compare as judge
from research.embedded.report.usefulness import rule_values, turned
from research.embedded.segmenter import sparse_categories


@dataclass(frozen=True, slots=True)
class Models:
    """What is measured, by the names a recipe would use, and where it runs."""

    pipeline: str
    clip: str
    segmenter: Path
    device: str

    @classmethod
    def of(cls, folder: Path | None, device: str) -> Models:
        """The shipped models, or those in a folder with `pipeline/`, `clip/` and `segmenter/`."""
        if folder is None:
            return cls("embedded", "embedded", EMBEDDED / "segmenter", device)
        pipeline, clip, segmenter = (folder.resolve() / part for part in ("pipeline", "clip", "segmenter"))
        return cls(str(pipeline), str(clip), segmenter, device)


@dataclass(frozen=True)
class Report:
    """All that was measured. `seconds` is by part and of this run alone: what an earlier one kept costs none."""

    size: Size
    seed: int
    held_out: int
    training: int
    models: dict[str, Any]
    reconstruction: Reconstruction
    floor: Distance
    reconstructed: Distance
    generated: Distance
    separation: Separation
    fidelity: MaskFidelity
    usefulness: dict[str, Any] | None
    """The document of the evaluation; None if none was asked for."""
    seconds: dict[str, float] = field(default_factory=dict)


class Bench:
    """The models, opened, and the run folder."""

    def __init__(self, models: Models, out: Path, seed: int) -> None:
        self.models, self.out, self.seed = models, out, seed
        self.device = pick_device(models.device)
        self.clip: ClipModel = load_clip(models.clip, Path(), models.device)
        spec = ControlNetSpec(model=models.pipeline, batch=16)
        self.card = spec.card(Path())
        self.weights = {"pipeline": dict(spec.identity(Path())), "clip": clip_identity(models.clip, Path())}
        generator = spec.build(StageContext(earthsynth(), (), Path(), models.device))
        generator.open()
        identity = {"weights": self.weights["pipeline"], "card": self.card.model_dump(mode="json")}
        self._extract = FeatureExtractor(models.device)
        self._images = GeneratedImages(generator, identity, out / "images")

    def generate(self, crops: CropSet, source: str) -> tuple[CropSet, list[float]]:
        """The crops with generated images in place of the real ones, and R-Filter's `clip_score` of each."""
        conditions = conditions_of(crops, self.card, self.seed, source)
        images = self._images.of(conditions, f"{source} images")
        rule = ClipScoreSpec(kind="clip_score", model=self.models.clip).build(
            StageContext(earthsynth(), categories_in(crops.masks), Path(), self.models.device)
        )
        rule.open()
        return with_images(crops, images), rule_values(rule, conditions, images).tolist()

    def reconstruct(self, crops: CropSet) -> CropSet:
        """The crops as the autoencoder gives them back."""
        folder = files_of(self.models.pipeline, Path()).pipeline / "vae"
        vae = AutoencoderKL.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        return with_images(crops, list[Image](reconstruct(vae.to(self.device, torch.float32).eval(), crops.images)))

    def features(self, crops: CropSet) -> dict[str, Features]:
        """Vectors of EfficientNet-Lite0 by depth."""
        return self._extract(crops.images)


def measure(bench: Bench, crops: Path, size: Size) -> Report:
    """Measures on `crops-test.safetensors`, judging generated images beside a share of `crops-train.safetensors`; writes
    `report.json` and `sheets/` into the run folder.

    Raises SourceError if a crop file is missing, Interrupted when stopped: the same call goes on.
    """
    seconds: dict[str, float] = {}
    whole = unpack(crops / "crops-train.safetensors")
    held = unpack(crops / "crops-test.safetensors")
    held = held.taken(balanced(held.focus, size.held_out, bench.seed))
    with _timed(seconds, "generation"):
        generated, _ = bench.generate(held, "held-out")
    with _timed(seconds, "sheets"):
        write_sheets(held, generated, bench.out / "sheets")
    with _timed(seconds, "autoencoder"):
        copies = bench.reconstruct(held)
        reconstruction = compare(held.images, copies.images)
    with _timed(seconds, "distances"):
        real, *others = [bench.features(part) for part in (held, copies, generated)]
        floor, reconstructed, drawn = (across_halves(real, other, bench.seed) for other in (real, *others))
    with _timed(seconds, "clip"):
        separation = separate(bench.clip, held)
    with _timed(seconds, "mask fidelity"):
        segmenter = Segmenter.load(bench.models.segmenter, bench.models.device)
        fidelity = mask_fidelity(segmenter, held, generated, sparse_categories(whole))
    with _timed(seconds, "usefulness"):
        usefulness = _usefulness(bench, whole, held, size)
    models = {"name": bench.card.name, "steps": bench.card.steps, "guidance": bench.card.guidance, **bench.weights}
    report = Report(
        size=size,
        seed=bench.seed,
        held_out=len(held),
        training=len(whole),
        models=models,
        reconstruction=reconstruction,
        floor=floor,
        reconstructed=reconstructed,
        generated=drawn,
        separation=separation,
        fidelity=fidelity,
        usefulness=usefulness,
        seconds=seconds,
    )
    write_json(bench.out / "report.json", _plain(report))
    return report


def _usefulness(bench: Bench, whole: CropSet, held: CropSet, size: Size) -> dict[str, Any] | None:
    if not size.rounds:
        return None
    few = whole.taken(balanced(whole.focus, round(size.share * len(whole)), bench.seed))
    generated, scores = bench.generate(turned(few, bench.seed), "training")
    return judge(few, held, generated, np.array(scores), size, bench.out / "usefulness", bench.seed)


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    print(f"{part} …", file=sys.stderr, flush=True)
    start = time.monotonic()
    yield
    seconds[part] = round(time.monotonic() - start, 1)


def _plain(report: Report) -> dict[str, Any]:
    """JSON of the report, the derived means with it."""
    names = {str(category.id): category.name for category in earthsynth()}
    document: dict[str, Any] = _keyed(asdict(report) | {"size": report.size.model_dump()})
    document["fidelity"] |= {
        "real_miou": report.fidelity.real_miou,
        "generated_miou": report.fidelity.generated_miou,
        "ratio": report.fidelity.ratio,
    }
    document["separation"]["mean_top1"] = report.separation.mean_top1
    document["categories"] = {key: names[key] for key in document["fidelity"]["real"]}
    return document


def _keyed(value: Any) -> Any:
    """The same with text for keys, as JSON wants it."""
    if isinstance(value, dict):
        return {str(key): _keyed(one) for key, one in value.items()}
    return value
