"""What the averaged weights are worth: loss by level of noise, drawn images of fixed conditions, what others see in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import orjson
import torch
from diffusers import StableDiffusionControlNetPipeline

from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import IGNORE, Taxonomy
from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.models.clip import ClipModel, crop_square, load_clip
from earthsynth_factory.models.control_image import control_images, control_lut
from earthsynth_factory.models.controlnet_pipeline import Asked, ControlNetPipeline
from earthsynth_factory.models.denoise import Sampling
from earthsynth_factory.models.schedulers import make_scheduler
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.report.sheets import color_mask, grid, overlay, to_png
from earthsynth_factory.training import iou, order
from earthsynth_factory.training.controlnet.dataset import TrainingSample
from earthsynth_factory.training.controlnet.denoiser import merged_unet
from earthsynth_factory.training.controlnet.loader import latent_key
from earthsynth_factory.training.controlnet.objective import cell_mean, cells
from earthsynth_factory.training.controlnet.setup import TrainingSetup, looked_at
from earthsynth_factory.training.controlnet.trainer import CPU, Inputs

BUCKETS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the way to pure noise at which the loss is measured."""

REGION = 0.002
"""Smallest region that CLIP is asked about, as a share of the image."""

PER_CLASS = 4
"""Most regions of one class in one image, largest first."""

CLIP_CONTEXT, CLIP_LEAST = 1.3, 24


@dataclass(frozen=True, eq=False, slots=True)
class ValidationResult:
    """Numbers by name, and the picture."""

    numbers: dict[str, float]
    picture: Path | None


def read_result(out: Path, step: int) -> ValidationResult | None:
    """What a run in `out` measured at a step, as it was written; None if there is none that can be read."""
    written, picture = (out / f"validation/step-{step:08d}.{suffix}" for suffix in ("json", "png"))
    try:
        document = orjson.loads(written.read_bytes())
        numbers = {str(name): float(value) for name, value in document.items() if name != "step"}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return ValidationResult(numbers, picture if picture.is_file() else None)


class Validation:
    """Conditions, seeds and noise are the same every time, so that numbers can be compared."""

    def __init__(self, setup: TrainingSetup, out: Path) -> None:
        self._setup, self._out = setup, out / "validation"
        spec = setup.recipe.validation
        samples = looked_at(setup.dataset)
        self._shown = spread_over_classes(samples, spec.images)
        self._measured = spread_over_classes(samples, spec.loss_samples)

    def measure(self, step: int) -> ValidationResult:
        """Measures and draws with the averaged weights; writes step-<n>.json and .png."""
        trainer = self._setup.trainer
        trainer.average.swap(trainer.learning)
        try:
            numbers = self._losses()
            picture = self._draw(step, numbers) if self._shown else None
        finally:
            trainer.average.swap(trainer.learning)
        write_json(self._out / f"step-{step:08d}.json", {"step": step, **numbers})
        return ValidationResult(numbers, picture)

    @torch.no_grad()
    def _losses(self) -> dict[str, float]:
        """Mean squared error by bucket, of what is known, and their mean."""
        if not self._measured:
            return {}
        size = self._setup.recipe.optim.batch
        sums = dict.fromkeys(BUCKETS, 0.0)
        for start in range(0, len(self._measured), size):
            some = self._measured[start : start + size]
            inputs = self._inputs(some)
            for share in BUCKETS:
                predicted, target = self._setup.trainer.predict(self._at(inputs, share), self._setup.trainer.denoiser)
                error = (predicted.float() - target).square().mean(dim=1)
                sums[share] += float(cell_mean(error, inputs.known).sum())
        found = {f"loss at {share:.1f}": total / len(self._measured) for share, total in sums.items()}
        return {"loss": float(np.mean(list(found.values()))), **found}

    def _inputs(self, samples: Sequence[TrainingSample]) -> Inputs:
        trainer, batches = self._setup.trainer, self._setup.batches
        device = trainer.team.device
        moments = trainer.latents.moments(latent_key(sample, 0) for sample in samples).to(device, torch.float32)
        latents = moments.chunk(2, dim=1)[0]
        seeds = [order.generator(self._setup.recipe.seed, CPU, "validation", sample.digest) for sample in samples]
        noise = torch.stack([torch.randn(latents.shape[1:], generator=random) for random in seeds]).to(device)
        masks = np.stack([batches.mask(sample) for sample in samples])
        words = trainer.prompts(batches.prompt(sample) for sample in samples)
        control = trainer.control(masks, np.ones(len(samples), bool))
        known = cells(torch.from_numpy(masks != IGNORE).to(device), latents.shape[-1])
        return Inputs(latents, noise, torch.zeros(len(samples)), words, control, torch.zeros(len(samples)), known)

    def _at(self, inputs: Inputs, share: float) -> Inputs:
        levels = self._setup.trainer.objective.at(share, len(inputs.latents)).to(inputs.latents.device)
        return Inputs(inputs.latents, inputs.noise, levels, inputs.words, inputs.control, inputs.inside, inputs.known)

    def _draw(self, step: int, numbers: dict[str, float]) -> Path:
        setup = self._setup
        masks = [setup.batches.mask(sample) for sample in self._shown]
        images = self.generate(masks)
        taxonomy = setup.dataset.taxonomy
        numbers |= region_accuracy(images, masks, taxonomy, setup.dataset.categories(), setup.trainer.team.device)
        numbers |= mask_fidelity(images, masks, taxonomy, setup.dataset.dense, setup.trainer.team.device)
        rows = []
        for sample, image, mask in zip(self._shown, images, masks, strict=True):
            tinted = overlay(image, mask, mask.astype(np.uint16), taxonomy)
            rows.append(
                np.concatenate([color_mask(mask, taxonomy), image, tinted, setup.batches.image(sample)], axis=1)
            )
        path = self._out / f"step-{step:08d}.png"
        write_bytes(path, to_png(grid(rows, 2), DigitalSource.MIXED))
        return path

    def generate(self, masks: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
        """An image for each mask (S, S) of the shown conditions, by the networks as they are now."""
        setup, spec = self._setup, self._setup.recipe.validation
        trainer = setup.trainer
        sampling = Sampling(
            steps=spec.steps or setup.card.steps,
            guidance=setup.card.guidance if spec.guidance is None else spec.guidance,
            scheduler=setup.card.scheduler,
        )
        batch = min(len(masks), 8 if trainer.team.device.type == "cuda" else 4)
        pipeline = ControlNetPipeline(make_pipeline(setup, sampling), trainer.team.device, sampling, batch)
        control = control_images(masks, control_lut(setup.card, setup.dataset.taxonomy))
        prompts = [setup.batches.prompt(sample) for sample in self._shown]
        seeds = [derive(setup.recipe.seed, "shown", sample.digest) for sample in self._shown]
        with trainer.autocast():
            return pipeline.generate(Asked([control], prompts, [""] * len(prompts), seeds))


def make_pipeline(setup: TrainingSetup, sampling: Sampling | None = None) -> Any:
    """diffusers' pipeline over the networks as they are now; it shares their weights (low-rank updates are folded in)."""
    base, scheduler = setup.base, setup.base.make_scheduler()
    pipeline = StableDiffusionControlNetPipeline(
        vae=base.vae,
        text_encoder=base.text,
        tokenizer=base.tokenizer,
        unet=merged_unet(setup.trainer.denoiser, base),
        controlnet=setup.trainer.denoiser.control,
        scheduler=make_scheduler(scheduler, sampling.scheduler) if sampling else scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def spread_over_classes(samples: Sequence[TrainingSample], count: int) -> list[TrainingSample]:
    """`count` samples that go round the categories, rarest first, so that every one is shown; no sample twice."""
    holders: dict[int, list[TrainingSample]] = {}
    for sample in samples:
        for category in sample.ids:
            holders.setdefault(category, []).append(sample)
    chosen: dict[TrainingSample, None] = {}
    waiting = sorted(holders.values(), key=len)
    while len(chosen) < min(count, len(samples)):
        before = len(chosen)
        for group in waiting:
            fresh = next((sample for sample in group if sample not in chosen), None)
            if fresh is not None and len(chosen) < count:
                chosen[fresh] = None
        if len(chosen) == before:
            break
    return list(chosen)


def region_accuracy(
    images: Sequence[npt.NDArray[np.uint8]],
    masks: Sequence[npt.NDArray[np.uint8]],
    taxonomy: Taxonomy,
    categories: Sequence[int],
    device: torch.device,
) -> dict[str, float]:
    """Share of regions that the embedded CLIP takes for their class among all of the dataset's; overall and by class."""
    clip = load_clip("embedded", Path(), str(device))
    crops, truth = [], []
    for image, mask in zip(images, masks, strict=True):
        for category, box in class_regions(mask):
            crops.append(crop_square(image, box, CLIP_CONTEXT, CLIP_LEAST))
            truth.append(category)
    if not crops:
        return {}
    chosen = _classified(clip, crops, [taxonomy[c].words for c in categories])
    right = np.array(categories)[chosen] == np.array(truth)
    by_class = {
        f"region accuracy, {taxonomy[c].name}": float(right[np.array(truth) == c].mean()) for c in sorted(set(truth))
    }
    return {"region accuracy": float(right.mean()), **by_class}


def _classified(clip: ClipModel, crops: Sequence[Any], names: Sequence[str]) -> npt.NDArray[np.int64]:
    texts = clip.texts([f"A satellite image of {name}" for name in names])
    return np.asarray((clip.images(crops) @ texts.T).argmax(dim=1).numpy())


def class_regions(mask: npt.NDArray[np.uint8]) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Class and box (x, y, width, height) of the largest connected regions of each class in a mask (S, S)."""
    found = []
    for category in present_classes(mask):
        _, _, stats, _ = cv2.connectedComponentsWithStats((mask == category).astype(np.uint8), connectivity=8)
        large = sorted((row for row in stats[1:].tolist() if row[4] >= REGION * mask.size), key=lambda row: -row[4])
        found += [(category, (row[0], row[1], row[2], row[3])) for row in large[:PER_CLASS]]
    return found


def mask_fidelity(
    images: Sequence[npt.NDArray[np.uint8]],
    masks: Sequence[npt.NDArray[np.uint8]],
    taxonomy: Taxonomy,
    dense: bool,
    device: torch.device,
) -> dict[str, float]:
    """IoU of the masks and what the embedded segmenter sees in the images: of each class it knows, and their mean.

    dense: whether background in the masks is no "unknown". Nothing if no segmenter is at hand.
    """
    try:
        segmenter = Segmenter.load(EMBEDDED / "segmenter", str(device))
    except ModelError:
        return {}
    seen = segmenter.predict(np.stack(images))
    found = iou.ious(iou.confusion(np.stack(masks), seen, np.full(len(masks), dense), ()))
    known = {category: value for category, value in found.items() if category in segmenter.categories}
    by_class = {f"mask fidelity, {taxonomy[category].name}": value for category, value in known.items()}
    return {"mask fidelity": float(np.mean(list(known.values()))), **by_class} if known else {}
