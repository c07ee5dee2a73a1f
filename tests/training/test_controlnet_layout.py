"""The embedded base learns two scenes by heart: what it then draws has each class in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.training.controlnet.validation import Validation
from tests.training.controlnet_runs import recipe_of, setup_of

COLORS = {8: (205, 70, 60), 6: (40, 70, 190)}
"""Building and water, as this world paints them."""

STEPS = 250


def two_scenes(root: Path) -> Path:
    """Left and right halves of building and water, and the other way round."""
    lines = []
    for name, (left, right) in {"A_0_0": (8, 6), "A_1_0": (6, 8)}.items():
        mask = np.full((64, 64), left, np.uint8)
        mask[:, 32:] = right
        image = np.array([COLORS.get(i, (0, 0, 0)) for i in range(9)], np.uint8)[mask]
        write_bytes(root / f"images/{name}.png", encode_png(image))
        write_bytes(root / f"masks/{name}.png", encode_png(mask))
        told = {"file_name": f"images/{name}.png", "mask_name": f"masks/{name}.png"}
        lines.append(orjson.dumps({**told, "text": "A satellite image of water, building"}) + b"\n")
    (root / "train.jsonl").write_bytes(b"".join(lines))
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_learnt_by_heart_is_drawn_where_the_mask_says(tmp_path: Path) -> None:
    recipe = recipe_of(
        "embedded",
        two_scenes(tmp_path / "d"),
        data={"held_out": 0},
        model={"controlnet": "embedded", "train": "controlnet+unet"},
        cf_comp={"mode": "off"},
        optim={"steps": STEPS, "batch": 4, "lr": 4e-4, "warmup": 10, "ema": 0},
        validation={"images": 2, "steps": 12, "guidance": 1.0},
    ).model_copy(update={"size": 64})
    opened = setup_of(recipe, tmp_path)
    losses = [opened.trainer.step(n, n * opened.trainer.stride).losses["loss"] for n in range(STEPS)]
    shown = Validation(opened, tmp_path)
    masks = [opened.batches.mask(sample) for sample in opened.dataset.samples]
    images = shown.generate(masks)
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) / 4
    for image, mask in zip(images, masks, strict=True):
        own, other = (np.abs(image - np.array([COLORS[i] for i in pair])[(mask == 6).astype(int)]).mean()
                      for pair in ((8, 6), (6, 8)))  # fmt: skip
        assert own < other / 2
