"""The generator's three stages in order: decoder, flow, few steps. Each leaves a file; with it there, it is not run again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTokenizer

from earthsynth_factory.evaluation.features import Lite0, lite0_weights
from earthsynth_factory.io.atomic import replacing
from research.embedded import networks, vocabulary
from research.embedded.adversary import Adversary, Heads, Judges
from research.embedded.captions import all_words, categories_in
from research.embedded.crops import CropSet
from research.embedded.decoder import DecoderStage, Encoder, decoding_part
from research.embedded.eyes import Eyes
from research.embedded.few_steps import FewStepsStage, draw_pairs
from research.embedded.flow import FlowStage
from research.embedded.pca import write_encoder
from research.embedded.pool import Pool, cut_pool
from research.embedded.recipe import PresetSpec, TrainRecipe
from research.embedded.scenes import unpack_scenes
from research.embedded.state import pack_modules, unpack_modules
from research.embedded.timed import train_for

SEEN = 256
"""Real crops that the teacher's maps are brought to one scale on."""

GENERATOR = "generator.safetensors"
"""What the last stage leaves: all that ships."""

Modules = dict[str, nn.Module]


@dataclass(frozen=True)
class Studio:
    """A recipe, a preset's values, the file of scenes and a run folder. Each property makes its thing once."""

    recipe: TrainRecipe
    preset: PresetSpec
    scenes: Path
    out: Path
    device: torch.device

    @cached_property
    def categories(self) -> tuple[int, ...]:
        """Ids that the scenes' masks hold, guessed ones too."""
        scenes = [scene for part in unpack_scenes(self.scenes).values() for scene in part]
        masks = [mask for scene in scenes for mask in (scene.mask, scene.filled) if mask is not None]
        return tuple(sorted({category for mask in masks for category in categories_in(mask)}))

    @cached_property
    def crops(self) -> CropSet:
        """The crops of the pool."""
        scenes, data = unpack_scenes(self.scenes), self.recipe.data
        return cut_pool(scenes, data.sources, self.recipe.size, self.preset.pool_share, self.recipe.seed)

    @cached_property
    def pool(self) -> Pool:
        """The crops on the device."""
        return Pool(self.crops, self.tokenizer, self.device)

    @cached_property
    def tokenizer(self) -> CLIPTokenizer:
        """The prompts' tokenizer."""
        return vocabulary.save_tokenizer(all_words(), self.out / "tokenizer", networks.TOKENS)

    @cached_property
    def eyes(self) -> Eyes:
        """The teacher."""
        network = Lite0(lite0_weights()).to(self.device).to(memory_format=torch.channels_last)
        random = torch.Generator(self.device).manual_seed(self.recipe.seed)
        return Eyes(network, self.pool.batch(min(SEEN, len(self.crops)), random).images)

    @cached_property
    def latent(self) -> tuple[int, int, int]:
        """Shape (C, s, s) of a latent."""
        spec = self.preset.autoencoder
        side = self.recipe.size // 2 ** (len(spec.channels) - 1)
        return spec.latent_channels, side, side

    def autoencoder(self) -> AutoencoderKL:
        """With its encoder as it stays, and a decoder that has learnt nothing. On the CPU."""
        torch.manual_seed(self.recipe.seed)
        model = networks.build_autoencoder(self.preset.autoencoder, self.recipe.size)
        write_encoder(model, self.crops.images, self.recipe.seed)
        return model.requires_grad_(False)

    def drawing(self) -> Modules:
        """Text encoder, UNet and ControlNet that have learnt nothing."""
        torch.manual_seed(self.recipe.seed)
        spec, (channels, side, _) = self.preset.denoiser, self.latent
        return {
            "text": networks.build_text(spec, self.tokenizer),
            "unet": networks.build_unet(spec, channels, side),
            "control": networks.build_control(spec, channels),
        }

    def heads(self) -> Heads:
        """The adversary's, which have learnt nothing."""
        torch.manual_seed(self.recipe.seed)
        with torch.no_grad():
            maps = self.eyes(torch.zeros(1, 3, 64, 64, device=self.device))
        depths = {stride: one.shape[1] for stride, one in maps.items()}
        return Heads(depths, categories_in(self.crops.masks)).to(self.device)


def train_generator(studio: Studio) -> None:
    """All three stages that have not left their file yet. Raises `Interrupted` when stopped: the same call goes on."""
    if (studio.out / GENERATOR).is_file():
        return
    vae, heads = _decoder_stage(studio)
    modules = _flow_stage(studio, vae)
    for module in (*modules.values(), vae):
        module.to(studio.device).to(memory_format=torch.channels_last).eval()
    spec, seed = studio.preset.few_steps, studio.recipe.seed
    pairs = draw_pairs(modules, vae, studio.pool, spec, studio.latent, seed)
    judges = Judges(studio.eyes, Adversary(heads, spec.adversary_lr))
    stage = FewStepsStage(spec, studio.pool, pairs, modules, _learning(vae), judges, seed)
    train_for(stage, spec.seconds, studio.out / stage.name)
    _keep(studio.out / GENERATOR, {**_parts(vae), **stage.average.modules})


def load_generator(studio: Studio) -> tuple[Modules, AutoencoderKL]:
    """What the three stages left: text, unet and control, and the autoencoder; on the CPU, not learning."""
    modules = studio.drawing()
    vae = networks.build_autoencoder(studio.preset.autoencoder, studio.recipe.size)
    _found(studio.out / GENERATOR, {**modules, **_parts(vae)})
    for module in (*modules.values(), vae):
        module.eval().requires_grad_(False)
    return modules, vae


def _decoder_stage(studio: Studio) -> tuple[AutoencoderKL, Heads]:
    vae, heads = studio.autoencoder().to(studio.device), studio.heads()
    path, spec = studio.out / "decoder.safetensors", studio.preset.decoder
    if not _found(path, {**_parts(vae), "heads": heads}):
        judges = Judges(studio.eyes, Adversary(heads, spec.adversary_lr))
        stage = DecoderStage(spec, studio.pool, _learning(vae), judges, studio.recipe.seed, studio.device)
        train_for(stage, spec.seconds, studio.out / stage.name)
        for name, module in decoding_part(vae).items():
            module.load_state_dict(stage.average.modules[name].state_dict())
        _keep(path, {**_parts(vae), "heads": heads})
    return vae.requires_grad_(False), heads


def _flow_stage(studio: Studio, vae: AutoencoderKL) -> Modules:
    modules, path, spec = studio.drawing(), studio.out / "flow.safetensors", studio.preset.flow
    if not _found(path, modules):
        stage = FlowStage(spec, studio.pool, Encoder(vae, studio.device), modules, studio.recipe.seed, studio.device)
        train_for(stage, spec.seconds, studio.out / stage.name)
        modules = stage.average.modules
        _keep(path, modules)
    return modules


def _parts(vae: AutoencoderKL) -> Modules:
    return {"encoder": vae.encoder, "quant_conv": vae.quant_conv, **decoding_part(vae)}


def _learning(vae: AutoencoderKL) -> AutoencoderKL:
    """The decoder learns; the encoder stays as it is."""
    for module in decoding_part(vae).values():
        module.train().requires_grad_(True)
    return vae


def _keep(path: Path, modules: Modules) -> None:
    with replacing(path) as part:
        save_file({name: tensor.contiguous().cpu() for name, tensor in pack_modules(modules).items()}, part)


def _found(path: Path, modules: Modules) -> bool:
    """Whether an earlier run left the file; then `modules` have its weights."""
    if path.is_file():
        unpack_modules(modules, load_file(path))
    return path.is_file()
