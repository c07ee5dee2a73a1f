"""The whole training in order; every stage goes on where it was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from earthsynth_factory.errors import InputError
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.training import checkpoint
from research.embedded import export
from research.embedded.clip import ClipStage
from research.embedded.crops import CropSet, cut_dataset
from research.embedded.generator import GENERATOR, Studio, load_generator, train_generator
from research.embedded.loop import Pace, train
from research.embedded.pack import pack, unpack
from research.embedded.recipe import Preset, PresetSpec, TrainRecipe, load_recipe
from research.embedded.scenes import pack_scenes, read_scenes
from research.embedded.segmenter import SegmenterStage


@dataclass(frozen=True)
class Workshop:
    """A recipe, a preset's values and a run folder. Each property makes its thing once, or reads what is there."""

    recipe: TrainRecipe
    preset: PresetSpec
    name: Preset
    datasets: Path
    out: Path
    device: torch.device

    @cached_property
    def real(self) -> CropSet:
        """The judges' training crops, from `crops-train.safetensors` or, if that is missing, from the datasets."""
        return self._crops("train", 1.0)

    @cached_property
    def held_out(self) -> CropSet:
        """Crops of scenes that no stage trains on."""
        return self._crops("test", self.recipe.data.held_out)

    @property
    def studio(self) -> Studio:
        """The generator's, with its file of scenes (see `write_scenes`)."""
        return Studio(self.recipe, self.preset, self.out / "scenes.safetensors", self.out, self.device)

    def clip(self) -> ClipStage:
        """The CLIP stage in its initial state. It sees real crops alone: it is to judge the generated ones."""
        return ClipStage(self.preset.clip, self.real, self.recipe.seed, self.device)

    def segmenter(self) -> SegmenterStage:
        """The segmenter stage in its initial state. Like the CLIP it judges, and sees real crops alone."""
        return SegmenterStage(self.preset.segmenter, self.real, self.recipe.seed, self.device)

    def judge(self) -> Segmenter:
        """The segmenter as far as it has come."""
        stage = self.segmenter()
        found = checkpoint.latest(self.out / "segmenter" / "checkpoints")
        if found:
            stage.load(found.tensors)
        return stage.segmenter()

    def write_scenes(self) -> Path:
        """The generator's file of scenes, made from the datasets if it is not there."""
        path, data = self.out / "scenes.safetensors", self.recipe.data
        if not path.is_file():
            scenes = {
                name: list(read_scenes(self.datasets / name, "train", source.share, source.shrink))
                for name, source in data.sources.items()
                if source.pool
            }
            pack_scenes(scenes, path, data.quality)
        return path

    def _crops(self, split: str, share: float) -> CropSet:
        path = self.out / f"crops-{split}.safetensors"
        if not path.is_file():
            recipe, whole = self.recipe, None
            for name, source in recipe.data.sources.items():
                if source.per_category:
                    part = cut_dataset(self.datasets / name, split, source.plan(share), recipe.size, recipe.seed)
                    whole = part if whole is None else whole.joined(part)
            if whole is None:
                raise InputError("data.sources: none has per_category crops for CLIP and segmenter; give it to one")
            pack(whole, path)
        return unpack(path)


def train_embedded(recipe: Path, datasets: Path, out: Path, preset: Preset = "cpu") -> Workshop:
    """Trains all stages into `out` and gives the workshop, ready for `export_embedded`.

    datasets: folder with a prepared dataset for each source of the recipe (not read once `out` holds the crop and scene
    files). Raises `RecipeError` on a faulty recipe, `Interrupted` when stopped: the same call goes on.
    """
    shop = open_workshop(recipe, datasets, out, preset)
    for stage, steps in ((shop.clip(), shop.preset.clip.steps), (shop.segmenter(), shop.preset.segmenter.steps)):
        train(stage, out / stage.name, Pace(steps))
    shop.write_scenes()
    train_generator(shop.studio)
    return shop


def open_workshop(recipe: Path, datasets: Path, out: Path, preset: Preset) -> Workshop:
    """Reads the recipe and picks the preset and the device. Raises `InputError` if the preset is not in the recipe."""
    loaded = load_recipe(recipe)
    if preset not in loaded.presets:
        raise InputError(f"{recipe}: no preset {preset!r}; it has {', '.join(loaded.presets)}")
    chosen = loaded.presets[preset]
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if preset == "gpu" and torch.cuda.is_available() else "cpu")
    return Workshop(loaded, chosen, preset, datasets, out, device)


def export_embedded(shop: Workshop) -> Path:
    """Writes the folders of the three models from what has been trained; a stage that has not begun is left out."""
    target = shop.out / "embedded"
    if (shop.out / GENERATOR).is_file():
        studio = shop.studio
        modules, vae = load_generator(studio)
        known = export.card(
            "earthsynth-factory embedded", shop.recipe.size, studio.categories, shop.preset.few_steps.steps
        )
        export.save_pipeline(target / "pipeline", modules, vae, studio.tokenizer, known)
    read = checkpoint.latest(shop.out / "clip" / "checkpoints")
    if read:
        clip = shop.clip()
        clip.load(read.tensors)
        export.save_clip(target / "clip", clip.model, shop.preset.clip)
    if checkpoint.latest(shop.out / "segmenter" / "checkpoints"):
        shop.judge().save(target / "segmenter")
    return target
