"""A model in words, for a person who asks what they have: what its files say, and whether all of it loads."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.models.fit import family, text_width
from earthsynth_factory.models.inspection import Assembly, BaseModel
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.registry import (
    ModelName,
    base_at,
    base_of,
    card_of,
    controlnet_at,
    controlnet_card,
    controlnet_of,
    files_of,
    path_of,
)
from earthsynth_factory.models.schedulers import prediction_of


def describe_model(name: str, controlnet: str | None, folder: Path) -> list[tuple[str, str]]:
    """(subject, what was found) of a pipeline, of a base alone, or of a base and its ControlNet; all of it is loaded once.

    Raises ModelError if it cannot be driven, its parts do not belong together, or a weight is missing or no number.
    """
    base, control, card = _parts(name, controlnet, folder)
    if control is not None:
        Assembly(base, (control,)).checked()
    rows = [*_of_base(base), *(_of_controlnet(control) if control else []), *(_of_card(card) if card else [])]
    _load(base, control)
    return [*rows, ("weights", "all there, none left over, all of them numbers")]


def _parts(name: str, controlnet: str | None, folder: Path) -> tuple[BaseModel, Part | None, ModelCard | None]:
    if controlnet is not None:
        place = controlnet_of(controlnet, folder)
        return base_at(base_of(name, folder)), controlnet_at(place), controlnet_card(controlnet, place, "")
    model: ModelName = name
    inside = path_of(name, folder, "model") / "controlnet"
    if name in ("earthsynth", "embedded") or inside.is_dir():
        found = files_of(model, folder).inspect()
        return found.base, found.controls[0], card_of(model, folder)
    return base_at(base_of(name, folder)), None, None


def _of_base(base: BaseModel) -> list[tuple[str, str]]:
    width, channels = text_width(base.unet), base.unet.get("block_out_channels", ())
    room = base.text.get("max_position_embeddings", 77)
    return [
        (
            "base",
            f"{base.place}: {family(width)}, blocks of {'-'.join(map(str, channels))} channels, {_files(base.unet)}",
        ),
        ("latents", f"{base.vae.get('latent_channels')} channels, {base.shrink} × smaller than the image"),
        ("text", f"width {width}, {room} tokens"),
        ("scheduler", f"{base.scheduler.get('_class_name', '?')}, predicts {prediction_of(base.scheduler)}"),
    ]


def _of_controlnet(control: Part) -> list[tuple[str, str]]:
    return [("controlnet", f"{control.folder}: fits the base, {_files(control)}")]


def _of_card(card: ModelCard) -> list[tuple[str, str]]:
    data = ", ".join(card.training_data) or "unknown"
    how = f"{card.steps} steps, guidance {card.guidance:g}, {card.scheduler}"
    return [
        ("card", f"{card.name}: {card.control} control image, {card.native_size} px, {how}"),
        ("licence", f"{card.licence}; training data {data}"),
    ]


def _files(part: Part) -> str:
    size = sum(path.stat().st_size for path in part.weights)
    variant = f", variant {part.variant}" if part.variant else ""
    kind = (
        "in the original layout"
        if part.original
        else f"{len(part.weights)} file{'s' * (len(part.weights) > 1)}{variant}"
    )
    return f"{size / 1e6:.0f} MB {kind}"


def _load(base: BaseModel, control: Part | None) -> None:
    """One after the other, so that memory holds one at a time."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    from earthsynth_factory.models.loading import load_network, load_tokenizers, text_encoders
    from earthsynth_factory.models.schedulers import saved_scheduler

    load_tokenizers(base)
    saved_scheduler(base.scheduler, base.place)
    texts = [(part, kind) for _, part, kind in text_encoders(base)]
    networks = [*texts, (base.vae, AutoencoderKL), (base.unet, UNet2DConditionModel)]
    for part, kind in (*networks, *([(control, ControlNetModel)] if control else [])):
        load_network(part, kind)
