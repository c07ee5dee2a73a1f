"""Which CLIP a rule names, and the files behind it. No torch here: recipes are read by this."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.mirror import located
from earthsynth_factory.models.weights import EMBEDDED, file_hash, weight_hashes

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


class OpenClipModel(Spec):
    """A model that open_clip knows by name."""

    name: str
    """Architecture, such as `ViT-B-32`, or `hf-hub:owner/name`."""
    pretrained: str | None = None
    """Tag of the weights, such as `laion2b_s34b_b79k`; or a file of weights: .safetensors, .pt, .pth, .bin."""


CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin")
"""What the name of a file of weights ends with, in lower case."""

ClipName = str | OpenClipModel


def clip_folder(name: ClipName, base: Path) -> Path | None:
    """The folder of a local model; None for one that open_clip finds by name. Raises ModelError if a file is missing."""
    if isinstance(name, OpenClipModel):
        return None
    folder = EMBEDDED / "clip" if name == "embedded" else located(base, name).resolve()
    for wanted in (CONFIG, WEIGHTS):
        if not (folder / wanted).is_file():
            raise ModelError(
                f"CLIP {name!r}: {folder / wanted} is missing; write `embedded`, a folder that holds {CONFIG} and "
                f"{WEIGHTS}, or {{name: ViT-B-32, pretrained: laion2b_s34b_b79k}}"
            )
    return folder


def clip_checkpoint(name: ClipName, base: Path) -> Path | None:
    """The file of weights that a model names; None if it names none. Raises ModelError if it is not there."""
    if isinstance(name, str) or not (name.pretrained or "").lower().endswith(CHECKPOINTS):
        return None
    path = (base / Path(str(name.pretrained)).expanduser()).resolve()
    if not path.is_file():
        raise ModelError(f"CLIP {name.name}: {path} is no file; `pretrained` names a file of weights, or a tag")
    return path


def clip_identity(name: ClipName, base: Path) -> dict[str, str]:
    """Weight file → sha256 for a local model; name and tag for one that open_clip finds itself."""
    folder = clip_folder(name, base)
    if folder is not None:
        return weight_hashes(folder)
    assert isinstance(name, OpenClipModel)
    if (file := clip_checkpoint(name, base)) is not None:
        return {"architecture": name.name, "weights": file_hash(file)}
    return {"open_clip": f"{name.name} {name.pretrained}"}
