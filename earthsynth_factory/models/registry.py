"""Names a recipe may use for a ControlNet pipeline, and the files and card behind each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.card import ModelCard, read_card
from earthsynth_factory.models.weights import EMBEDDED, HubRepository, locate, weight_hashes

_BASE_FILES = (
    "model_index.json",
    "scheduler/*",
    "tokenizer/*",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)

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


class TwoPartModel(Spec):
    """A base pipeline and a ControlNet that live apart: hub ids (`owner/name`) or folders."""

    base: str
    """Stable Diffusion pipeline in diffusers' layout."""
    controlnet: str
    """ControlNet in diffusers' layout."""
    base_revision: str = "main"
    """Commit, tag or branch of the base on the hub."""
    revision: str = "main"
    """Commit, tag or branch of the ControlNet on the hub."""
    subfolder: str = ""
    """Folder of the ControlNet inside its repository."""


EARTHSYNTH = TwoPartModel(
    base="stable-diffusion-v1-5/stable-diffusion-v1-5",
    base_revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    controlnet="jaychempan/EarthSynth",
    subfolder="controlnet",
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A pipeline's folders on this machine. `controlnet` may lie inside `pipeline`."""

    pipeline: Path
    controlnet: Path

    def hashes(self) -> dict[str, str]:
        """Weight file → sha256 over both folders."""
        found = {f"base/{name}": digest for name, digest in weight_hashes(self.pipeline).items()}
        if not self.controlnet.is_relative_to(self.pipeline):
            found |= {f"controlnet/{name}": digest for name, digest in weight_hashes(self.controlnet).items()}
        return found


def card_of(model: str | TwoPartModel, base: Path) -> ModelCard:
    """The card of a model, without its weights: its own `card.json`, else EarthSynth's conventions."""
    if model == "earthsynth":
        return EARTHSYNTH_CARD
    if isinstance(model, TwoPartModel):
        local = _local(model.controlnet, base)
        own = read_card(local) if local else None
        return own or EARTHSYNTH_CARD.model_copy(update={"name": model.controlnet, "licence": "unknown"})
    folder = _pipeline_folder(model, base)
    return read_card(folder) or EARTHSYNTH_CARD.model_copy(update={"name": folder.name, "licence": "unknown"})


def files_of(model: str | TwoPartModel, base: Path) -> ModelFiles:
    """The folders of a model. Raises ModelError with the remedies where they are not to be had."""
    if model == "earthsynth":
        model = EARTHSYNTH
    if isinstance(model, TwoPartModel):
        return _two_part(model, base)
    folder = _pipeline_folder(model, base)
    controlnet = folder / "controlnet"
    if not controlnet.is_dir():
        raise ModelError(f"{folder}: has no `controlnet` folder; name it apart: `model: {{base: …, controlnet: …}}`")
    return ModelFiles(folder, controlnet)


def repositories(model: str | TwoPartModel, base: Path) -> list[HubRepository]:
    """What of a model comes from the hub; nothing for one that lies in folders."""
    both = EARTHSYNTH if model == "earthsynth" else model
    if not isinstance(both, TwoPartModel):
        return []
    found = [] if both.base == "embedded" else [(both.base, HubRepository(both.base, both.base_revision, _BASE_FILES))]
    prefix = f"{both.subfolder}/" if both.subfolder else ""
    wanted = (f"{prefix}config.json", f"{prefix}*.safetensors")
    found.append((both.controlnet, HubRepository(both.controlnet, both.revision, wanted)))
    return [repository for name, repository in found if _local(name, base) is None]


def base_of(name: str, base: Path, revision: str = "main") -> Path:
    """The folder of a base pipeline: `embedded`, a folder, or a hub id. Raises ModelError with the remedies."""
    if name == "embedded":
        return EMBEDDED / "pipeline"
    return _local(name, base) or locate(HubRepository(name, revision, _BASE_FILES))


def controlnet_of(name: str, base: Path, revision: str = "main", subfolder: str = "") -> Path:
    """The folder of a ControlNet that stands by itself, in a folder or on the hub. Raises ModelError with the remedies."""
    prefix = f"{subfolder}/" if subfolder else ""
    wanted = (f"{prefix}config.json", f"{prefix}*.safetensors")
    folder = (_local(name, base) or locate(HubRepository(name, revision, wanted))) / subfolder
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no ControlNet here (config.json is missing); set `subfolder`")
    return folder


def _pipeline_folder(model: str, base: Path) -> Path:
    folder = EMBEDDED / "pipeline" if model == "embedded" else _local(model, base)
    if folder is None:
        raise ModelError(
            f"model {model!r}: no such folder; write `earthsynth`, `embedded`, a folder, or {{base: …, controlnet: …}}"
        )
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: no pipeline in diffusers' layout here (model_index.json is missing)")
    return folder


def _local(name: str, base: Path) -> Path | None:
    """The folder of that name, from `base`, if there is one."""
    folder = (base / Path(name).expanduser()).resolve()
    return folder if folder.is_dir() else None


def _two_part(model: TwoPartModel, base: Path) -> ModelFiles:
    pipeline = base_of(model.base, base, model.base_revision)
    return ModelFiles(pipeline, controlnet_of(model.controlnet, base, model.revision, model.subfolder))
