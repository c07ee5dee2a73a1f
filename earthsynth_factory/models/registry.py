"""Names a recipe may use for a ControlNet pipeline, and the files and card behind each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.io.mirror import located
from earthsynth_factory.models import hub
from earthsynth_factory.models.card import ModelCard, read_card
from earthsynth_factory.models.inspection import Assembly, BaseModel, inspect_base, inspect_controlnet, inspect_vae
from earthsynth_factory.models.lora import read_lora
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.style import read_style
from earthsynth_factory.models.weights import EMBEDDED, file_hash

EARTHSYNTH_CARD = ModelCard(
    name="EarthSynth (jaychempan/EarthSynth on Stable Diffusion 1.5)",
    control="class-id",
    native_size=512,
    categories=tuple(category.id for category in earthsynth() if category.id),
    steps=20,
    guidance=7.5,
    licence="Stable Diffusion 1.5: CreativeML OpenRAIL-M; EarthSynth ControlNet: MIT",
    training_data=("EarthSynth-180K (OpenEarthMap, LoveDA, DeepGlobe, SAMRS, LAE-1M)",),
)
"""As the authors' `test.py` runs it: raw ids as the control image, UniPC, 20 steps, guidance 7.5."""

UNKNOWN: dict[str, Any] = {"licence": "unknown", "categories": None, "training_data": ()}
"""What is not known of a model without a card; for the rest EarthSynth's conventions are taken."""

_HUB_NAME = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")


class TwoPartModel(Spec):
    """A base pipeline and a ControlNet that live apart: hub ids (`owner/name`), folders, or files in the original layout."""

    base: str
    """Stable Diffusion pipeline: a folder in diffusers' layout, a .safetensors file, or a hub id."""
    controlnet: str
    """ControlNet: a folder in diffusers' layout, a .safetensors file, or a hub id."""
    base_revision: str = "main"
    """Commit, tag or branch of the base on the hub."""
    revision: str = "main"
    """Commit, tag or branch of the ControlNet on the hub."""
    subfolder: str = ""
    """Folder of the ControlNet inside its repository or folder; if there is none in it, the root is looked at. Left out: the
    root, then `controlnet`."""


EARTHSYNTH = TwoPartModel(
    base="stable-diffusion-v1-5/stable-diffusion-v1-5",
    base_revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    controlnet="jaychempan/EarthSynth",
    subfolder="controlnet",
)

ModelName = str | TwoPartModel


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A pipeline's places on this machine: folders, or files in the original layout. `controlnet` may lie in `pipeline`.

    inside: the folder of the ControlNet's repository that it was found in; "" for the root. more: ControlNets beside it.
    vae: an autoencoder in place of the pipeline's. loras: (file, adapter, weight). style: IP-Adapter, image encoder, folder
    of pictures, weight.
    """

    pipeline: Path
    controlnet: Path
    inside: str = "controlnet"
    more: tuple[Path, ...] = ()
    vae: Path | None = None
    loras: tuple[tuple[Path, str, float], ...] = ()
    style: tuple[Path, Path, Path, float] | None = None

    def inspect(self) -> Assembly:
        """All of it, looked at. Raises ModelError if a part cannot be driven, or they do not belong together."""
        base = base_at(self.pipeline)
        if self.vae:
            base = base.with_vae(vae_at(self.vae))
        controls = tuple(controlnet_at(place) for place in (self.controlnet, *self.more))
        style = read_style(*self.style) if self.style else None
        return Assembly(base, controls, tuple(read_lora(*lora) for lora in self.loras), style).checked()

    def hashes(self) -> dict[str, str]:
        """File → sha256 of all that is loaded: weights, configurations, tokenizer. Raises ModelError as `inspect` does."""
        found = self.inspect()
        parts = {f"base/{name}": part for name, part in found.base.networks().items()}
        parts |= {f"controlnet{f'_{n}' * bool(n)}": control for n, control in enumerate(found.controls)}
        hashes = {name: digest for place, part in parts.items() for name, digest in _hashes(place, part).items()}
        hashes |= {f"base/{name}": file_hash(path) for name, path in _tokenizer_files(found.base).items()}
        hashes |= {f"lora/{n} {lora.adapter}": file_hash(lora.path) for n, lora in enumerate(found.loras)}
        if found.style:
            hashes |= {"style/adapter": file_hash(found.style.adapter), **_hashes("style/encoder", found.style.encoder)}
            hashes |= {f"style/images/{path.name}": file_hash(path) for path in found.style.pictures}
        if found.base.second:
            hashes["base/empty prompt"] = "zeros" if found.base.zeros else "encoded"
        return {**hashes, "base/scheduler": _digest(found.base.scheduler)}


def card_of(model: ModelName, base: Path) -> ModelCard:
    """The card of a model: its own `card.json`, else EarthSynth's conventions with licence and data unknown.

    It is read beside the ControlNet's weights, then in the folder or repository above them. Hub models are fetched for it.
    """
    if model == "earthsynth":
        return EARTHSYNTH_CARD
    if isinstance(model, TwoPartModel):
        place = controlnet_of(model.controlnet, base, model.revision, model.subfolder)
        return controlnet_card(model.controlnet, place, model.subfolder) or unknown_card(model.controlnet)
    folder = _pipeline_folder(model, base)
    return read_card(folder) or read_card(folder / "controlnet") or unknown_card(folder.name)


def controlnet_card(name: str, place: Path, subfolder: str) -> ModelCard | None:
    """The card beside a ControlNet's weights, or above its subfolder; EarthSynth's own for its repository."""
    if name == EARTHSYNTH.controlnet:
        return EARTHSYNTH_CARD
    folder = card_folder(place)
    inside = folder.name in [Path(inner).name for inner in hub.controlnet_folders(subfolder) if inner]
    return read_card(folder) or (read_card(folder.parent) if inside else None)


def card_folder(place: Path) -> Path:
    """Where a model's card lies: in its folder, or beside its file."""
    return place.parent if place.is_file() else place


def unknown_card(name: str) -> ModelCard:
    """The card of a model that has none."""
    return EARTHSYNTH_CARD.model_copy(update={"name": name, **UNKNOWN})


def files_of(model: ModelName, base: Path) -> ModelFiles:
    """The places of a model. Raises ModelError with the remedies if they are not available."""
    if model == "earthsynth":
        model = EARTHSYNTH
    if isinstance(model, TwoPartModel):
        pipeline = base_of(model.base, base, model.base_revision)
        return ModelFiles(pipeline, *_controlnet(model.controlnet, base, model.revision, model.subfolder))
    folder = _pipeline_folder(model, base)
    several = sorted(path.name for path in folder.glob("controlnet*") if path.is_dir())
    if not (folder / "controlnet").is_dir():
        raise ModelError(f"{folder}: has no `controlnet` folder; name it apart: `model: {{base: …, controlnet: …}}`")
    if len(several) > 1:
        raise ModelError(
            f"{folder}: {len(several)} ControlNets ({', '.join(several)}); name the one that sees the mask, "
            f"`model: {{base: {model}, controlnet: {model}/{several[0]}}}`, and put the other under `controls`"
        )
    return ModelFiles(folder, folder / "controlnet")


def found_elsewhere(model: ModelName, files: ModelFiles) -> list[str]:
    """A note if the ControlNet was not found in the folder that the model names."""
    named = EARTHSYNTH if model == "earthsynth" else model
    if not isinstance(named, TwoPartModel) or named.subfolder.strip("/") in ("", files.inside):
        return []
    return [f"{named.controlnet}: no ControlNet in {named.subfolder}; the one in its root is used"]


def at_hand(model: ModelName, base: Path) -> bool:
    """Whether no network is needed for it: False if the hub's cache does not hold it whole. Raises ModelError."""
    return all(hub.cached(one) for one in repositories(model, base))


def repositories(model: ModelName, base: Path) -> list[hub.HubRepository]:
    """What of a model comes from the hub; nothing for one that lies in folders. Raises ModelError for a name of neither."""
    both = EARTHSYNTH if model == "earthsynth" else model
    if not isinstance(both, TwoPartModel):
        return []
    return [
        *if_on_hub(both.base, base, "base", hub.base_repository(both.base, both.base_revision)),
        *if_on_hub(
            both.controlnet,
            base,
            "controlnet",
            hub.controlnet_repository(both.controlnet, both.revision, both.subfolder),
        ),
    ]


def if_on_hub(name: str, base: Path, key: str, repository: hub.HubRepository) -> list[hub.HubRepository]:
    """The repository, unless the name is of something here. Raises ModelError for a name of neither."""
    return [repository] if _local(name, base, key) is None else []


def base_of(name: str, base: Path, revision: str = "main") -> Path:
    """The place of a base pipeline: `embedded`, a folder, a file or a hub id. Raises ModelError with the remedies."""
    return _local(name, base, "base") or _from_hub(name, base, hub.base_repository(name, revision))


def controlnet_of(name: str, base: Path, revision: str = "main", subfolder: str = "") -> Path:
    """The place of a ControlNet that stands by itself, here or on the hub. Raises ModelError with the remedies."""
    return _controlnet(name, base, revision, subfolder)[0]


def base_at(place: Path) -> BaseModel:
    """The base in a folder, or in a file of the original layout. Raises ModelError if it cannot be driven."""
    if place.is_file():
        from earthsynth_factory.models.single_file import base_in

        return base_in(place)
    return inspect_base(place)


def controlnet_at(place: Path) -> Part:
    """The ControlNet in a folder, or in a file of the original layout. Raises ModelError if there is none."""
    if place.is_file():
        from earthsynth_factory.models.single_file import controlnet_in

        return controlnet_in(place)
    return inspect_controlnet(place)


def vae_of(name: str, base: Path) -> Path:
    """The place of an autoencoder: a folder, a file or a hub id. Raises ModelError with the remedies."""
    return _local(name, base, "vae") or _from_hub(name, base, hub.vae_repository(name))


def vae_at(place: Path) -> Part:
    """The autoencoder in a folder, or in a file of the original layout. Raises ModelError if there is none."""
    if place.is_file():
        from earthsynth_factory.models.single_file import vae_in

        return vae_in(place)
    return inspect_vae(place)


def lora_of(name: str, base: Path, file: str | None = None, revision: str = "main") -> Path:
    """The file of a LoRA: the file itself, or in a folder or repository the named one, else the one that is there.

    Raises ModelError with the remedies.
    """
    place = _local(name, base, "lora") or _from_hub(name, base, hub.lora_repository(name, revision, file))
    if place.is_file():
        return place
    if file or (place / hub.LORA).is_file():
        return _within(place, file or hub.LORA)
    there = sorted(path.name for path in place.glob("*.safetensors"))
    if len(there) != 1:
        several = f"{len(there)} safetensors files ({', '.join(there[:3])}); say which with `file:`"
        raise ModelError(f"lora {name!r}: {place}: {several if there else 'no safetensors file'}")
    return place / there[0]


def style_of(name: str, base: Path, file: str | None = None, revision: str = "main") -> Path:
    """The file of an IP-Adapter: the file itself, or one in a folder or repository. Raises ModelError with the remedies."""
    place = _local(name, base, "adapter") or _from_hub(name, base, hub.style_repository(name, revision, file))
    return place if place.is_file() else _within(place, file or hub.STYLE)


def _within(place: Path, inner: str) -> Path:
    """What lies in a folder under that name. Raises ModelError if the name leads out of it."""
    if ".." in Path(inner).parts or Path(inner).is_absolute():
        raise ModelError(f"{inner!r}: leads out of {place}; name what lies inside it")
    return place / inner


def _controlnet(name: str, base: Path, revision: str, subfolder: str) -> tuple[Path, str]:
    """Its place, and the folder inside its repository that this is. Raises ModelError if the name leads out of it."""
    if ".." in Path(subfolder).parts:
        raise ModelError(f"subfolder {subfolder!r}: leads out of {name}; name a folder inside it")
    root = _local(name, base, "controlnet")
    root = root or _from_hub(name, base, hub.controlnet_repository(name, revision, subfolder))
    folders = hub.controlnet_folders(subfolder)
    inside = next((one for one in folders if (root / one / "config.json").is_file()), folders[0])
    return root / inside, inside


def _pipeline_folder(model: str, base: Path) -> Path:
    folder = EMBEDDED / "pipeline" if model == "embedded" else _local(model, base, "model")
    if folder is None:
        raise ModelError(
            f"model {model!r}: {_searched(model, base)}; "
            "write `earthsynth`, `embedded`, a folder, or {base: …, controlnet: …}"
        )
    if folder.is_file():
        raise ModelError(f"{folder}: a single file; write `model: {{base: …, controlnet: …}}` with it in its place")
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: no pipeline in diffusers' layout here (model_index.json is missing)")
    return folder


def _local(name: str, base: Path, key: str) -> Path | None:
    """The folder or file of that name, from `base`; None if it may be a hub id. Raises ModelError if it is neither."""
    if name == "embedded" and key in ("base", "controlnet"):
        return EMBEDDED / "pipeline" / ("controlnet" if key == "controlnet" else "")
    place = path_of(name, base, key)
    if place.is_dir() or (place.is_file() and place.suffix == ".safetensors"):
        return place
    if place.is_file():
        raise ModelError(
            f"{key} {name!r}: {place.suffix or 'this'} files are not read, they could run code; save the model as safetensors"
        )
    if located(base, name).is_symlink():
        raise ModelError(f"{key} {name!r}: {located(base, name)}: a link to nothing; fetch the model again")
    if key != "model" and (not _HUB_NAME.fullmatch(name) or place.suffix == ".safetensors"):
        raise ModelError(f"{key} {name!r}: {_searched(name, base)}")
    return None


def path_of(name: str, base: Path, key: str) -> Path:
    """The path that a recipe names, from its folder. Raises ModelError if there can be no such path."""
    try:
        place = located(base, name).resolve()
        place.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, no such home, a zero byte
        shown = f"{name[:80]!r}{' …' * (len(name) > 80)}"
        raise ModelError(f"{key} {shown}: no path ({first_line(error)}); name a folder or a file") from error
    return place


def _searched(name: str, base: Path) -> str:
    """Where a name was looked for; and the folder that it means from the working folder, if there is one."""
    given = Path(name).expanduser()
    place = (base / given).resolve()
    if given.is_absolute():
        return f"no such folder: {place}"
    near = f"; did you mean {given.resolve()}?" if given.exists() else ""
    return f"no such folder: {place} (paths start at the recipe's{near})"


def _from_hub(name: str, base: Path, repository: hub.HubRepository) -> Path:
    try:
        return hub.locate(repository)
    except ModelError as error:
        raise ModelError(f"{name!r}: {_searched(name, base)}; and on the hub:\n{error}") from error


def _hashes(place: str, part: Part) -> dict[str, str]:
    """The part's configuration by content, its weights by file."""
    return {f"{place}/config": _digest(part.config), **{f"{place}/{p.name}": file_hash(p) for p in part.weights}}


def _digest(settings: Mapping[str, Any]) -> str:
    """sha256 of settings, without what libraries note of themselves."""
    kept = {name: value for name, value in settings.items() if name not in _NOTES}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


_NOTES = ("_diffusers_version", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "_commit_hash")


def _tokenizer_files(base: BaseModel) -> dict[str, Path]:
    """`tokenizer/vocab.json` → its place, of all that are read."""
    names = (
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    )
    places = {f"{kind}/{name}": folder / name for kind, folder in base.tokenizers().items() for name in names}
    return {name: path for name, path in places.items() if path.is_file()}
