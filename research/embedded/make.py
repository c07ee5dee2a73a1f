"""From a training recipe to the three model folders with their cards."""

from __future__ import annotations

from pathlib import Path

from research.embedded.evaluate import write_cards
from research.embedded.recipe import Preset
from research.embedded.stages import export_embedded, open_workshop, train_embedded


def make_embedded(recipe: Path, datasets: Path, out: Path, preset: Preset, export_only: bool) -> Path:
    """Train (or, with `export_only`, take the newest checkpoints), export and measure; gives the folder of the models.

    Raises RecipeError on a faulty recipe, Interrupted when stopped: the same call goes on.
    """
    shop = (open_workshop if export_only else train_embedded)(recipe, datasets, out, preset)
    target = export_embedded(shop)
    write_cards(shop, target)
    return target
