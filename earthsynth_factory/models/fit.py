"""Whether the parts of a model belong together, by their configurations: each fault with the folder, two values, a remedy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.part import Part, read_config

DRIVEN = "Stable Diffusion 1.x, 2.x and XL are driven here"

_FAMILIES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}

_INPUTS = {9: "an inpainting model", 8: "an image-editing model", 7: "an upscaler", 5: "a depth model"}
"""What UNets with that many input channels over a latent of four are for."""

_BEYOND_TEXT = ("addition_embed_type", "encoder_hid_dim_type", "class_embed_type")
"""Settings of UNets that are conditioned on more than text."""

_XL = "text_time"
"""What Stable Diffusion XL's networks are conditioned on beside words: a text as a whole, and the image's size."""

_CHANNELS, _SCALING = 4, 0.18215
"""What an autoencoder has whose settings are silent."""

_OTHER = "a ControlNet of another family; take one made for this base"


def base_faults(
    unet: Part, vae: Part, text: Part, tokenizer: Path | None, second: tuple[Part, Path] | None = None
) -> Iterator[str]:
    """What keeps a base from being driven. second: the other text encoder and its tokenizer, as Stable Diffusion XL has."""
    for part, wanted in ((unet, "UNet2DConditionModel"), (vae, "AutoencoderKL")):
        if part.get("_class_name", wanted) != wanted:
            yield f"{part.folder}: a {part.config['_class_name']}; {wanted} is driven here"
    for encoder, words in ((text, tokenizer), *([second] if second else [])):
        kind = str((encoder.get("architectures") or ["CLIPTextModel"])[0])
        if not kind.startswith("CLIP"):
            yield f"{encoder.folder}: a {kind}; CLIPTextModel is driven here"
        yield from _word_faults(encoder, words)
    yield from _channel_faults(unet, vae)
    yield from _moved_faults(vae)
    yield from _text_faults(unet, text, second[0] if second else None)


def vae_faults(vae: Part, own: Part) -> Iterator[str]:
    """Where an autoencoder has other latents than the base's own."""
    kind, folder = vae.get("_class_name", "AutoencoderKL"), vae.folder
    if kind != "AutoencoderKL":
        yield f"{folder}: a {kind}, no AutoencoderKL; name the folder of one"
        return
    yield from _moved_faults(vae)
    for words, mine, theirs in (
        ("latents of {} channels", vae.get("latent_channels", _CHANNELS), own.get("latent_channels", _CHANNELS)),
        ("latents {} × smaller than the image", shrink_of(vae), shrink_of(own)),
        ("latents scaled by {}", vae.get("scaling_factor", _SCALING), own.get("scaling_factor", _SCALING)),
    ):
        if mine != theirs:
            yield f"{folder}: {words.format(mine)}, those of {own.folder} {theirs}; take an autoencoder of this family"


def shrink_of(vae: Part) -> int:
    """Pixels along the side of a latent cell."""
    return int(2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1))


def controlnet_faults(control: Part, unet: Part, shrink: int) -> Iterator[str]:
    """Where a ControlNet's shape is not that of the UNet. shrink: pixels along a latent cell's side."""
    kind, folder = control.get("_class_name", "ControlNetModel"), control.folder
    if kind != "ControlNetModel":
        yield f"{folder}: a {kind}, no ControlNet; name the folder of a ControlNetModel"
        return
    wide, given = text_width(control), text_width(unet)
    if _differ(wide, given):
        yield f"{folder}: reads text of width {_named(wide)}, {unet.folder} has {_named(given)}: {_OTHER}"
    for key, name in _SHAPES.items():
        mine, theirs = _plain(control.get(key)), _plain(unet.get(key))
        if _differ(mine, theirs):
            yield f"{folder}: {name} {_shown(mine)}, of {unet.folder} {_shown(theirs)}: {_OTHER}"
    channels = control.get("conditioning_channels", 3)
    if channels != 3:
        yield f"{folder}: its control image has {channels} channels; ones of 3 are made here"
    if control.get("global_pool_conditions"):
        yield f"{folder}: sees a picture's style as a whole (global_pool_conditions), not where classes lie; take another"
    more, asked = control.get("addition_embed_type"), unet.get("addition_embed_type")
    if more != asked:
        yield f"{folder}: is given {more or 'nothing'} beside words, {unet.folder} {asked or 'nothing'}: {_OTHER}"
    stem = 2 ** (len(control.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1)
    if stem != shrink:
        yield f"{folder}: shrinks its control image {stem}×, the base's latents are {shrink}× smaller: {_OTHER}"


_SHAPES = {
    "block_out_channels": "channels of its blocks",
    "in_channels": "channels of its latents",
    "layers_per_block": "layers of a block",
}


def vocabulary(folder: Path) -> int:
    """How many token ids a tokenizer's folder can give. Raises ModelError if its files are missing or damaged."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if os.path.lexists(folder / name):
            read_config(folder / name)
    if os.path.lexists(folder / "tokenizer.json"):
        document = read_config(folder / "tokenizer.json")
        model, added = document.get("model"), document.get("added_tokens") or []
        words = model.get("vocab") if isinstance(model, dict) else None
        entries = added if isinstance(added, list) else [None]
        ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
        return _count(folder / "tokenizer.json", words, ids)
    words = read_config(folder / "vocab.json")
    if not (folder / "merges.txt").is_file():
        raise ModelError(f"{folder}: merges.txt is missing; fetch the model again")
    more = folder / "added_tokens.json"
    return _count(folder / "vocab.json", words, read_config(more).values() if more.is_file() else ())


def _count(place: Path, words: Any, more: Iterable[Any]) -> int:
    """One more than the highest id of those in a vocabulary, and of more."""
    ids = [*words.values(), *more] if isinstance(words, dict) else []
    if not ids or not all(isinstance(number, int) and number >= 0 for number in ids):
        raise ModelError(f"{place}: no vocabulary of words and their numbers; fetch the model again")
    return int(max(ids)) + 1


def family(width: Any) -> str:
    """What a model that reads text of this width is."""
    return str(_FAMILIES.get(width, f"of Stable Diffusion's kind, text of width {width}"))


def text_width(part: Part) -> Any:
    """Width of the text that a network reads: a number, a tuple if its levels differ."""
    wide = _plain(part.get("cross_attention_dim"))
    return wide[0] if isinstance(wide, tuple) and len(set(wide)) == 1 else wide


def _text_faults(unet: Part, text: Part, second: Part | None) -> Iterator[str]:
    """Whether the UNet reads what the text encoders give."""
    more = next((value for key in _BEYOND_TEXT if (value := unet.get(key))), None)
    if more and (more != _XL or second is None):
        lacks = f", and {text.folder.parent} has one text encoder" if more == _XL else ""
        yield f"{unet.folder}: the UNet asks for more than text ({more}){lacks}; {DRIVEN}"
        return
    if second and more != _XL:
        yield f"{unet.folder}: the UNet has no use for {second.folder}; take both from one model"
    wide, width = text_width(unet), text.get("hidden_size")
    if second and width is not None:
        width += second.get("hidden_size", 0)
    if _differ(wide, width):
        yield (
            f"{unet.folder}: the UNet reads text of width {_named(wide)}, {text.folder} gives {_named(width)}; "
            "take both from one model"
        )


def _channel_faults(unet: Part, vae: Part) -> Iterator[str]:
    takes, gives = unet.get("in_channels"), vae.get("latent_channels")
    if _differ(takes, gives):
        meant = f" ({_INPUTS[takes]})" if takes in _INPUTS and gives == 4 else ""
        yield (
            f"{unet.folder}: the UNet takes {takes} channels{meant}, {vae.folder} gives {gives}; "
            f"take a text-to-image model; {DRIVEN}"
        )


def _moved_faults(vae: Part) -> Iterator[str]:
    moved = next((key for key in ("latents_mean", "latents_std", "shift_factor") if vae.get(key)), None)
    if moved:
        yield f"{vae.folder}: moves its latents ({moved}); autoencoders that scale them alone are driven here"


def _word_faults(text: Part, tokenizer: Path | None) -> Iterator[str]:
    room = text.get("vocab_size")
    if tokenizer is not None and isinstance(room, int) and (count := vocabulary(tokenizer)) > room:
        yield f"{tokenizer}: has {count} words, {text.folder} knows {room}; take both from one model"


def _differ(mine: Any, theirs: Any) -> bool:
    """Whether both are told and are not the same."""
    return mine is not None and theirs is not None and mine != theirs


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _named(width: Any) -> str:
    return f"{width} ({_FAMILIES[width]})" if width in _FAMILIES else str(width)


def _shown(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
