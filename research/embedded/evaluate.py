"""Measured facts of a run, and the model cards (card.md) that state them. What eyes saw comes from `seen.md`,
the run's or a model's own in the folder of its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.training import checkpoint, iou
from research import markdown
from research.embedded.clip import zero_shot
from research.embedded.export import JUDGES_DATA, LICENCE, TRAINING_DATA
from research.embedded.segmenter import sparse_categories
from research.embedded.stages import Workshop

COMMAND = "python -m research.embedded recipes/train_embedded.yaml --datasets datasets --preset {preset}"

_FOR_THE_REPORT = ("", markdown.EMPTY)
"""Where `make model-report` puts its table."""


def write_cards(shop: Workshop, target: Path) -> None:
    """Writes `card.md` of pipeline, CLIP and segmenter below `target` for what the newest checkpoints hold."""
    if (target / "pipeline").is_dir():
        facts = [*(_time_of(shop, stage) for stage in ("decoder", "flow", "few_steps")), *_FOR_THE_REPORT]
        _write(shop, target / "pipeline", "Embedded diffusion pipeline", facts)
    if (target / "clip").is_dir():
        _write(
            shop,
            target / "clip",
            "Embedded CLIP",
            [_spent(shop, "clip", shop.preset.clip.batch, "patches"), *_accuracy(shop), *_FOR_THE_REPORT],
        )
    if (target / "segmenter").is_dir():
        spent = _spent(shop, "segmenter", shop.preset.segmenter.batch, "crops")
        known = [spent, *_ious(shop, Segmenter.load(target / "segmenter", str(shop.device)))]
        _write(shop, target / "segmenter", "Embedded segmenter", known)


def _ious(shop: Workshop, segmenter: Segmenter) -> list[str]:
    """mIoU on held-out crops, and a table by category."""
    held, sparse = shop.held_out, sparse_categories(shop.real)
    found = iou.ious(iou.confusion(held.masks, segmenter.predict(held.images), held.dense, sparse))
    holders = {c: int((held.masks == c).any(axis=(1, 2)).sum()) for c in found}
    rows = [f"| {earthsynth()[c].name} | {value:.1%} | {holders[c]} |" for c, value in found.items()]
    return [
        f"- mIoU on {len(held)} held-out crops over {len(found)} categories: {np.mean(list(found.values())):.1%}",
        "",
        "| category | IoU | crops that hold it |",
        "|---|---|---|",
        *rows,
    ]


def _accuracy(shop: Workshop) -> list[str]:
    """Zero-shot lines: overall, mean over categories, and a table."""
    stage = shop.clip()
    found = checkpoint.latest(shop.out / "clip" / "checkpoints")
    if found:
        stage.load(found.tensors)
    counts = zero_shot(stage.model, shop.held_out, shop.preset.clip.size, shop.device)
    right, tried = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
    mean = np.mean([r / n for r, n in counts.values()])
    rows = [f"| {earthsynth()[c].name} | {r / n:.0%} | {n} |" for c, (r, n) in counts.items()]
    return [
        f"- zero-shot top-1 on held-out patches over {len(counts)} categories: {right / tried:.1%} of patches, "
        f"{mean:.1%} as the mean over categories",
        "",
        "| category | top-1 | patches |",
        "|---|---|---|",
        *rows,
    ]


def _spent(shop: Workshop, stage: str, batch: int, what: str) -> str:
    found = checkpoint.latest(shop.out / stage / "checkpoints")
    if found is None:
        return f"- {stage}: no training steps"
    return f"- {stage}: {found.step} steps of {batch} {what}, {found.seconds / 60:.0f} minutes"


def _time_of(shop: Workshop, stage: str) -> str:
    """Steps, batch and seconds of one of the generator's stages, from its log."""
    path = shop.out / stage / "log.jsonl"
    ends = [line for line in map(json.loads, path.read_text().splitlines()) if "end" in line] if path.is_file() else []
    if not ends:
        return f"- {stage}: no training steps"
    last = ends[-1]
    return f"- {stage}: {last['end']} steps of {last['batch']}, {last['seconds'] / 60:.1f} minutes"


def _write(shop: Workshop, folder: Path, title: str, facts: list[str]) -> None:
    own = shop.out / folder.name / "seen.md"
    seen = own if own.is_file() else shop.out / "seen.md"
    data = [f"- {name}" for name in (TRAINING_DATA if folder.name == "pipeline" else JUDGES_DATA)]
    lines = [f"# {title}", "", f"Licence: {LICENCE}. Seed {shop.recipe.seed}.", "", "Training data:", *data]
    lines += ["", f"Made by: `{COMMAND.format(preset=shop.name)}`", "", "Measured:", *facts]
    if seen.is_file():
        lines += ["", "Seen:", seen.read_text().strip()]
    write_bytes(folder / "card.md", ("\n".join(lines) + "\n").encode())
