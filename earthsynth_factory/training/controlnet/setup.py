"""From a recipe to a stage that can step: data checked, caches filled, networks on their device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.errors import SourceError
from earthsynth_factory.models.card import ModelCard, read_card
from earthsynth_factory.models.control_image import control_lut
from earthsynth_factory.models.device import pick_device
from earthsynth_factory.models.loading import load_network
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.registry import base_of
from earthsynth_factory.training.controlnet.base_model import Base, load_base
from earthsynth_factory.training.controlnet.batches import Batches
from earthsynth_factory.training.controlnet.cache import (
    ENCODED,
    EncodeTask,
    LatentCache,
    LatentEncoder,
    PromptCache,
    part_hash,
)
from earthsynth_factory.training.controlnet.dataset import TrainingDataset, TrainingSample, open_training_data
from earthsynth_factory.training.controlnet.distributed import Team
from earthsynth_factory.training.controlnet.loader import Loader, latent_key
from earthsynth_factory.training.controlnet.pictures import turned_image
from earthsynth_factory.training.controlnet.precision import training_dtype
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe, RunSpec
from earthsynth_factory.training.controlnet.trainer import ControlNetTrainer

OnProgress = Callable[[str, int, int], None]
"""Progress of the preparations: what, done, of how many."""


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """Everything a run needs. `card` is the model's as it will be exported; `notes` are for the user's eyes."""

    recipe: ControlNetRecipe
    dataset: TrainingDataset
    batches: Batches
    base: Base
    card: ModelCard
    trainer: ControlNetTrainer
    notes: tuple[str, ...]


def open_data(recipe: ControlNetRecipe, recipe_folder: Path, out: Path) -> TrainingDataset:
    """The checked dataset; its survey is remembered beside the caches. Raises SourceError with all faults."""
    given = Path(recipe.data.path).expanduser()
    root = (recipe_folder / given).resolve()
    if not root.is_dir():
        remedy = (
            f"did you mean data.path={given.resolve()}?" if given.is_dir() else "`earthsynth-factory prepare` makes one"
        )
        raise SourceError(f"{root}: no such folder, and data.path starts at the recipe's; {remedy}")
    name = hashlib.blake2b(str(root).encode(), digest_size=6).hexdigest()
    index = latent_cache_folder(recipe, recipe_folder, out) / f"survey-{name}.json"
    return open_training_data(root, recipe.data, index, recipe.seed, recipe.run.loaders)


def latent_cache_folder(recipe: ControlNetRecipe, recipe_folder: Path, out: Path) -> Path:
    """Where latents and embeddings are kept."""
    return recipe_folder / Path(recipe.data.cache).expanduser() if recipe.data.cache else out / "cache"


def make_writer(recipe: ControlNetRecipe, dataset: TrainingDataset, card: ModelCard | None) -> PromptWriter:
    """Writes composed scenes' prompts as the base model's card, or the recipe, wants them."""
    template = recipe.data.template_or(card.prompt_template if card else None)
    return PromptWriter(dataset.taxonomy, template, card.scales if card else ())


def open_batches(recipe: ControlNetRecipe, recipe_folder: Path, out: Path) -> Batches:
    """Batches without a model, for pictures of what would be learnt. A base that is not at hand lends no template."""
    dataset = open_data(recipe, recipe_folder, out)
    local = recipe.model.base == "embedded" or (recipe_folder / recipe.model.base).is_dir()
    card = read_card(base_of(recipe.model.base, recipe_folder)) if local else None
    return Batches(dataset, recipe, make_writer(recipe, dataset, card), 0, 1)


def open_run(
    recipe: ControlNetRecipe, recipe_folder: Path, out: Path, team: Team, on_progress: OnProgress
) -> TrainingSetup:
    """Opens everything, the caches filled by all processes in equal parts. Raises the errors of what it opens."""
    if not team.leads:
        team.wait()  # the first one surveys, the others read what it wrote
    dataset = open_data(recipe, recipe_folder, out)
    if team.leads:
        team.wait()
    base = load_base(recipe.model, recipe.size, recipe_folder, recipe.seed)
    dtype, why = training_dtype(recipe, base, team.device)
    writer = make_writer(recipe, dataset, base.card)
    batches = Batches(dataset, recipe, writer, team.rank, team.world)
    folder = latent_cache_folder(recipe, recipe_folder, out)
    latents = fill_latents(base, batches, folder, team, dtype, on_progress)
    prompts = _prompts(base, batches, folder, team)
    loader = Loader(batches, latents, recipe.run.loaders)
    card = _card(recipe, dataset, base, writer)
    lut = control_lut(card, dataset.taxonomy)
    trainer = ControlNetTrainer(recipe, base, loader, (latents, prompts), lut, team, dtype)
    notes = _notes(dataset, batches, prompts) + ((why,) if why else ())
    return TrainingSetup(recipe, dataset, batches, base, card, trainer, notes)


def looked_at(dataset: TrainingDataset) -> tuple[TrainingSample, ...]:
    """What validation shows: held-out scenes, or training ones if none are held out."""
    return dataset.held_out or tuple(sample for sample in dataset.samples if sample.whole) or dataset.samples


def fill_latents(
    base: Base, batches: Batches, folder: Path, team: Team, dtype: torch.dtype, on_progress: OnProgress
) -> LatentCache:
    """Every real sample in every symmetry that is learnt from, and held-out ones as they are."""
    size = batches.recipe.size
    name = f"{part_hash(base.files.vae)}-{size}-{str(dtype).removeprefix('torch.')}"
    latents = LatentCache(folder / "latents" / name, encoder_of(base.vae, team.device, dtype))
    pairs = [(sample, turn) for sample in batches.dataset.samples for turn in batches.symmetries(sample)]
    pairs += [(sample, 0) for sample in looked_at(batches.dataset)]
    wanted = {latent_key(sample, turn): partial(turned_image, sample.image, size, turn) for sample, turn in pairs}
    # Dealt out over all keys, not over those missing: processes look at the folder at different moments.
    lacking = latents.lacking(list(wanted.items())[team.rank :: team.world])
    if lacking:
        engine = _engine(batches.recipe.run, team, -(-len(lacking) // ENCODED))
        alone = engine.workers == 1
        task = EncodeTask((lambda _: latents.encoder) if alone else partial(load_encoder, base.files.vae, dtype))
        latents.fill(lacking, engine, task, lambda done, total: on_progress("latents", done, total))
    team.wait()
    latents.reopen()
    return latents


def _engine(run: RunSpec, team: Team, batches: int) -> LocalEngine:
    """Who encodes this many batches: this process if a launcher has started others, which have their own part."""
    if team.world > 1:
        return LocalEngine([str(team.device)])
    return LocalEngine.of(run.device, run.workers, batches, "run.workers")


def load_encoder(vae: Part, dtype: torch.dtype, device: str) -> LatentEncoder:
    """The encoder in a process of its own. Raises ModelError."""
    return encoder_of(load_network(vae, AutoencoderKL).float(), pick_device(device), dtype)


def encoder_of(vae: Any, device: torch.device, dtype: torch.dtype) -> LatentEncoder:
    """The autoencoder's encoder, brought to a device."""
    vae = vae.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return LatentEncoder(vae, device, dtype)


def _prompts(base: Base, batches: Batches, folder: Path, team: Team) -> PromptCache:
    text = base.text.to(team.device).eval().requires_grad_(False)
    place = folder / "prompts" / part_hash(base.files.text)
    if not team.leads:
        team.wait()
    prompts = PromptCache(place, text, base.tokenizer, team.device)
    if team.leads:
        samples = (*batches.dataset.samples, *looked_at(batches.dataset))
        prompts.fill(["", *(batches.prompt(sample) for sample in samples)])
        team.wait()
    return prompts


def _card(recipe: ControlNetRecipe, dataset: TrainingDataset, base: Base, writer: PromptWriter) -> ModelCard:
    goes_on = recipe.model.controlnet != "new"  # then its control image and its categories are given
    known = base.card.categories if goes_on else ()
    before = () if recipe.model.train == "scratch" else base.card.training_data
    update = {
        "name": recipe.name,
        "control": recipe.model.control or (base.card.control if goes_on else "class-id"),
        "native_size": recipe.size,
        "prompt_template": writer.template,
        "scales": writer.scales,
        "categories": tuple(sorted({*(known or ()), *dataset.categories()})),
        "licence": recipe.licence,
        "training_data": tuple(dict.fromkeys((*before, dataset.about))),
    }
    return base.card.model_copy(update=update)


def _notes(dataset: TrainingDataset, batches: Batches, prompts: PromptCache) -> tuple[str, ...]:
    long = prompts.too_long(batches.prompt(sample) for sample in dataset.samples)
    notes = [f"{len(dataset.samples)} samples, {len(dataset.held_out)} scenes held out, {dataset.about}"]
    if long:
        notes.append(f"{len(long)} prompts are longer than the text encoder reads and are cut, as {long[0][:60]!r}…")
    silent = [sample for sample in dataset.samples if not _names_a_class(batches.prompt(sample), sample, dataset)]
    if silent:
        place = silent[0].mask.name
        notes.append(f"{len(silent)} texts name no class of their mask, as that of {place}; is it meant so?")
    mode, batch = batches.recipe.cf_comp.mode, batches.recipe.optim.batch
    if mode != "off" and not batches.composed:
        notes.append(f"nothing is composed: cf_comp.share of optim.batch {batch} leaves none beside two real samples")
    if not dataset.held_out:
        notes.append("no scene is held out: validation looks at training scenes")
    return tuple(notes)


def _names_a_class(prompt: str, sample: TrainingSample, dataset: TrainingDataset) -> bool:
    words = [dataset.taxonomy[i].words.lower() for i in sample.ids if i]
    return not words or any(word in prompt.lower() for word in words)
