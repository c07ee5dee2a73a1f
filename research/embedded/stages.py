"""The whole training in order; every stage goes on where it was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import replacing
from earthsynth_factory.training import checkpoint
from research.embedded import export, latents, networks, vocabulary
from research.embedded.autoencoder import AutoencoderStage, build
from research.embedded.captions import all_words, categories_in
from research.embedded.clip import ClipStage
from research.embedded.composed import compose
from research.embedded.crops import CropSet, cut_dataset
from research.embedded.decoder import DecoderStage
from research.embedded.diffusion import DiffusionStage
from research.embedded.loop import Pace, train
from research.embedded.pack import pack, unpack
from research.embedded.recipe import Preset, PresetSpec, TrainRecipe, load_recipe
from research.embedded.segmenter import SegmenterStage
from research.embedded.state import unpack_modules


@dataclass(frozen=True)
class Workshop:
    """A recipe, a preset's values and a run folder. Each property makes its thing once, or reads what is there."""

    recipe: TrainRecipe
    preset: PresetSpec
    datasets: Path
    out: Path
    device: torch.device

    @cached_property
    def real(self) -> CropSet:
        """The training crops, from `crops-train.safetensors` or, where that is missing, from the datasets."""
        return self._crops("train", 1.0)

    @cached_property
    def held_out(self) -> CropSet:
        """Crops of scenes that no stage trains on."""
        return self._crops("test", self.recipe.data.held_out)

    @cached_property
    def crops(self) -> CropSet:
        """Training crops and compositions."""
        share = self.recipe.data.compositions
        count = round(len(self.real) * share / (1 - share))
        return self.real.joined(compose(self.real, count, self.recipe.seed)) if count else self.real

    @cached_property
    def tokenizer(self) -> CLIPTokenizer:
        """The prompts' tokenizer."""
        return vocabulary.save_tokenizer(all_words(), self.out / "tokenizer", networks.TOKENS)

    @cached_property
    def vae(self) -> AutoencoderKL:
        """The trained autoencoder with standardised latents, its decoder refined as far as that stage has come."""
        path = self.out / "autoencoder.safetensors"
        if not path.is_file():
            self._train_autoencoder(path)
        model = build(self.preset.autoencoder, self.recipe.size)
        model.load_state_dict(load_file(path))
        model.eval().to(self.device, memory_format=torch.channels_last)
        found = checkpoint.latest(self.out / "decoder" / "checkpoints")
        if found:
            unpack_modules({"decoder": model.decoder, "post_quant_conv": model.post_quant_conv}, found.tensors)
        return model

    @cached_property
    def cache(self) -> latents.LatentCache:
        """Latents of `crops`."""
        path = self.out / "latents.safetensors"
        if not path.is_file():
            variants = self.preset.diffusion.variants
            latents.save_cache(latents.build_cache(self.vae, self.crops, variants, self.device, self.recipe.seed), path)
        return latents.load_cache(path)

    def diffusion(self) -> DiffusionStage:
        """The diffusion stage in its initial state."""
        spec, seed = self.preset.diffusion, self.recipe.seed
        return DiffusionStage(spec, self.crops, self.cache, self.held_out, self.vae, self.tokenizer, seed, self.device)

    def decoder(self) -> DecoderStage:
        """The decoder's refinement in its initial state."""
        return DecoderStage(self.preset.decoder, self.crops, self.cache, self.vae, self.recipe.seed, self.device)

    def clip(self) -> ClipStage:
        """The CLIP stage in its initial state. It sees real crops alone: it is to judge the generated ones."""
        return ClipStage(self.preset.clip, self.real, self.recipe.seed, self.device)

    def segmenter(self) -> SegmenterStage:
        """The segmenter stage in its initial state. Like the CLIP it judges, and sees real crops alone."""
        return SegmenterStage(self.preset.segmenter, self.real, self.recipe.seed, self.device)

    def _train_autoencoder(self, path: Path) -> None:
        """Trains to the end, standardises the latents, and stores the result: the latents' meaning is fixed from here on."""
        stage = AutoencoderStage(self.preset.autoencoder, self.real, self.recipe.size, self.recipe.seed, self.device)
        train(stage, self.out / "autoencoder", Pace(self.preset.autoencoder.steps))
        latents.calibrate(stage.model.eval(), self.real, self.device, self.recipe.seed)
        with replacing(path) as part:
            save_file({name: tensor.contiguous() for name, tensor in stage.model.state_dict().items()}, part)

    def _crops(self, split: str, share: float) -> CropSet:
        path = self.out / f"crops-{split}.safetensors"
        if not path.is_file():
            recipe = self.recipe
            parts = [
                cut_dataset(self.datasets / name, split, source.plan(share), recipe.size, recipe.seed)
                for name, source in recipe.data.sources.items()
            ]
            whole = parts[0]
            for part in parts[1:]:
                whole = whole.joined(part)
            pack(whole, path)
        return unpack(path)


def train_embedded(recipe: Path, datasets: Path, out: Path, preset: Preset = "cpu") -> Workshop:
    """Trains all stages into `out` and gives the workshop, ready for `export_embedded`.

    datasets: folder with an imported dataset for each source of the recipe (not read once `out` holds the crop files).
    Raises `RecipeError` on a faulty recipe, `Interrupted` when stopped: the same call goes on.
    """
    shop = open_workshop(recipe, datasets, out, preset)
    for stage, steps in (
        (shop.decoder(), shop.preset.decoder.steps),
        (shop.diffusion(), shop.preset.diffusion.steps),
        (shop.clip(), shop.preset.clip.steps),
        (shop.segmenter(), shop.preset.segmenter.steps),
    ):
        train(stage, out / stage.name, Pace(steps))
    return shop


def open_workshop(recipe: Path, datasets: Path, out: Path, preset: Preset) -> Workshop:
    """Reads the recipe and picks the preset and the device. Raises `InputError` where the preset is not in the recipe."""
    loaded = load_recipe(recipe)
    if preset not in loaded.presets:
        raise InputError(f"{recipe}: no preset {preset!r}; it has {', '.join(loaded.presets)}")
    chosen = loaded.presets[preset]
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if preset == "gpu" and torch.cuda.is_available() else "cpu")
    return Workshop(loaded, chosen, datasets, out, device)


def export_embedded(shop: Workshop) -> Path:
    """Writes the folders of the three models from the newest checkpoints; a stage without one is left out."""
    target = shop.out / "embedded"
    drawn = checkpoint.latest(shop.out / "diffusion" / "checkpoints")
    if drawn:
        stage = shop.diffusion()
        stage.load(drawn.tensors)
        known = export.card("earthsynth-factory embedded", shop.recipe.size, categories_in(shop.real.masks))
        export.save_pipeline(target / "pipeline", stage.average, shop.vae, shop.tokenizer, known)
    read = checkpoint.latest(shop.out / "clip" / "checkpoints")
    if read:
        clip = shop.clip()
        clip.load(read.tensors)
        export.save_clip(target / "clip", clip.model, shop.preset.clip)
    seen = checkpoint.latest(shop.out / "segmenter" / "checkpoints")
    if seen:
        judge = shop.segmenter()
        judge.load(seen.tensors)
        judge.segmenter().save(target / "segmenter")
    return target
