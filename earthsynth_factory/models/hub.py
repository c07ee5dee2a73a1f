"""Repositories on the Hugging Face hub: what of them is needed, whether the cache holds it, and why a download failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.part import DIFFUSION, TEXT_STEM, choose_weights, is_named, read_config

CARD, LORA = "card.json", "pytorch_lora_weights.safetensors"
"""Files of a repository: our card; a LoRA, as diffusers saves it."""

STYLE, ENCODER = "ip-adapter_sd15.safetensors", "image_encoder"
"""An IP-Adapter, and the folder of its image encoder beside it, by their authors' names."""


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository at one revision (a commit, a tag or a branch).

    networks: folders (`""` is the root), of which the first that is whole is taken → stem of the weight files. beside: such
    as are taken if their folder is there. files: others that must be there, each with the names that will do; optional: files
    and folders (`tokenizer/`) that are taken if they are.
    """

    name: str
    revision: str
    networks: tuple[tuple[tuple[str, ...], str], ...]
    files: tuple[tuple[str, ...], ...] = ()
    optional: tuple[str, ...] = (CARD,)
    beside: tuple[tuple[str, str], ...] = ()

    def choose(self, names: Collection[str]) -> tuple[list[str], list[str]]:
        """Of the repository's file names those that are loaded, and in words what is missing."""
        wanted = [name for name in names if _under(name, self.optional)]
        lacking: list[str] = []
        for any_of in self.files:
            found = [name for name in any_of if name in names]
            wanted += found
            lacking += any_of[:1] if not found else ()
        there = {name.partition("/")[0] for name in names if "/" in name}
        beside = (((folder,), stem) for folder, stem in self.beside if folder in there)
        for folders, stem in (*self.networks, *beside):
            looked = [_network(names, f"{folder}/" if folder else "", stem) for folder in folders]
            wanted += next((files for files, lacks in looked if not lacks), [])
            lacking += [lacks for _, lacks in looked] if all(lacks for _, lacks in looked) else []
        return wanted, lacking


def base_repository(name: str, revision: str) -> HubRepository:
    """A Stable Diffusion pipeline."""
    networks = ((("unet",), DIFFUSION), (("vae",), DIFFUSION), (("text_encoder",), TEXT_STEM))
    words = ("tokenizer/tokenizer.json", "tokenizer/vocab.json")
    files = (("model_index.json",), ("scheduler/scheduler_config.json",), words)
    taken = (CARD, "tokenizer/", "tokenizer_2/", "scheduler/")
    return HubRepository(name, revision, networks, files, taken, (("text_encoder_2", TEXT_STEM),))


def controlnet_repository(name: str, revision: str, subfolder: str) -> HubRepository:
    """A ControlNet, in one of the folders of its repository that `controlnet_folders` names."""
    folders = controlnet_folders(subfolder)
    cards = tuple(f"{folder}/{CARD}".lstrip("/") for folder in folders)
    return HubRepository(name, revision, ((folders, DIFFUSION),), (), cards)


def controlnet_folders(subfolder: str) -> tuple[str, str]:
    """Where a ControlNet is looked for, in a repository or a folder: where it is said to be, then in the root; if nothing
    is said, in the root, then where most are published."""
    named = subfolder.strip("/")
    return (named, "") if named else ("", "controlnet")


def vae_repository(name: str) -> HubRepository:
    """An autoencoder by itself."""
    return HubRepository(name, "main", ((("",), DIFFUSION),), (), ())


def lora_repository(name: str, revision: str, file: str | None) -> HubRepository:
    """A LoRA: one file, diffusers' name for it if nobody says another."""
    return HubRepository(name, revision, (), ((file or LORA,),), ())


def style_repository(name: str, revision: str, file: str | None) -> HubRepository:
    """An IP-Adapter with the image encoder in the folder beside it."""
    path = file or STYLE
    encoder = f"{path.rpartition('/')[0]}/{ENCODER}".lstrip("/")
    return HubRepository(name, revision, (((encoder,), TEXT_STEM),), ((path,),), ())


def cached(repository: HubRepository) -> Path | None:
    """The snapshot in the hub's cache if it holds all that is needed, else None. Asks no network."""
    folder = _snapshot(repository)
    return None if folder is None or _lacking(repository, folder) else folder


def half_cached(repository: HubRepository) -> str:
    """Which file the hub's cache lacks of a repository that it holds a part of; "" if it holds all of it, or nothing."""
    folder = _snapshot(repository)
    return next(iter(_lacking(repository, folder)), "") if folder else ""


def locate(repository: HubRepository) -> Path:
    """The folder of a repository's snapshot: from the cache, else downloaded, or completed if the cache has a part of it.

    Raises ModelError with the cause and its remedy if it is not available.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its account of every retry would bury ours
    found = cached(repository)
    if found:
        return found
    if constants.HF_HUB_OFFLINE:
        raise ModelError(_failure(repository, "this program is offline (HF_HUB_OFFLINE is set)", _fetch(repository)))
    try:
        names = set(HfApi().list_repo_files(repository.name, revision=repository.revision))
        wanted, lacking = repository.choose(names)
        if lacking:
            raise ModelError(_incomplete(repository, names, lacking))
        patterns = [escape(name) for name in wanted]
        return Path(snapshot_download(repository.name, revision=repository.revision, allow_patterns=patterns))
    except ModelError:
        raise
    except Exception as error:  # the hub's client and its transport raise dozens of kinds; each is told by its cause
        raise ModelError(_failure(repository, *_cause(error, repository))) from error


def _snapshot(repository: HubRepository) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository.name, revision=repository.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"the hub's cache cannot be read for {repository.name}: {first_line(error)}") from error


def _lacking(repository: HubRepository, folder: Path) -> list[str]:
    """What a snapshot lacks, in words. A link whose blob is gone counts as lacking if its file would be loaded."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    wanted, lacking = repository.choose(names)
    gone = [f"{name} is a link to nothing" for name in wanted if not (folder / name).is_file()]
    return gone + [f"{name} is missing" for name in (*lacking, *_named_and_absent(repository, folder, names))]


def _named_and_absent(repository: HubRepository, folder: Path, names: Collection[str]) -> list[str]:
    """Of the networks that are taken only if they are there, those that a cached pipeline's index names and that are not."""
    if not repository.beside or "model_index.json" not in names:
        return []
    try:
        index = read_config(folder / "model_index.json")
    except ModelError:  # whoever inspects the folder says what is wrong with it
        return []
    named = [f"{inner}/config.json" for inner, _ in repository.beside if is_named(index, inner)]
    return [name for name in named if name not in names]


def _under(name: str, places: Iterable[str]) -> bool:
    return any(name == place or (place.endswith("/") and name.startswith(place)) for place in places)


def _network(names: Collection[str], prefix: str, stem: str) -> tuple[list[str], str]:
    """A network's files, of those whose names begin with the prefix; and which file is missing, "" if none does."""
    own = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    chosen = choose_weights({name for name in own if "/" not in name}, stem)
    if "config.json" not in own:
        return [], f"{prefix}config.json"
    if chosen is None or not _all_shards(chosen.names):
        return [], f"{prefix}{stem}.safetensors"
    return [prefix + name for name in ("config.json", *chosen.names, *filter(None, [chosen.index]))], ""


def _all_shards(names: Collection[str]) -> bool:
    """Whether `…-00001-of-00003.safetensors` and its like are all there."""
    counts = {int(name.partition("-of-")[2][:5]) for name in names if "-of-" in name}
    return not counts or counts == {len(names)}


def _incomplete(repository: HubRepository, names: Collection[str], lacking: list[str]) -> str:
    pickled = any(name.endswith((".bin", ".ckpt", ".pt")) for name in names)
    safe = " (its weights are pickles, which are not read: they could run code)" if pickled else ""
    return f"{repository.name}: the repository has no {', '.join(lacking[:4])}{safe}; name one in diffusers' layout"


def _failure(repository: HubRepository, cause: str, remedy: str) -> str:
    return (
        f"{repository.name} (revision {repository.revision}) is not whole in the hub's cache "
        f"and cannot be downloaded: {cause}.\n"
        f"  {remedy}\n"
        "  Without a network: set `model: embedded` in the recipe, which needs no download; in one of a training\n"
        "  `model: {base: embedded, controlnet: embedded}` and `size: 128`"
    )


def _fetch(repository: HubRepository) -> str:
    folders = [f"{folders[0]}/*" if folders[0] else "*" for folders, _ in repository.networks]
    extra = [
        name if not name.endswith("/") else f"{name}*"
        for name in (*(any_of[0] for any_of in repository.files), *repository.optional)
    ]
    include = " ".join(f"--include '{pattern}'" for pattern in dict.fromkeys([*folders, *extra]))
    return f"With a network: hf download {repository.name} --revision {repository.revision} {include}"


def _cause(error: Exception, repository: HubRepository) -> tuple[str, str]:
    """What happened, and what mends it."""
    from huggingface_hub import constants

    kinds = {kind.__name__ for kind in type(error).__mro__}
    message = first_line(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds:
        return (
            "its terms must be accepted first (gated)",
            "Accept them on its page on the hub, then log in: hf auth login",
        )
    if "RepositoryNotFoundError" in kinds or status in (401, 403):
        return "no such repository, or a private one", "Check the name; for a private one log in: hf auth login"
    if "RevisionNotFoundError" in kinds:
        return (
            f"it has no revision {repository.revision!r}",
            "Set `revision` (or `base_revision`) to a commit, tag or branch",
        )
    if status == 429 or "429" in message:
        return "the hub asks to wait (429 Too Many Requests)", "Try again in some minutes, or log in: hf auth login"
    if "407" in message:
        return "407 Proxy Authentication Required", "Set HTTPS_PROXY=http://user:password@host:port"
    if isinstance(error, OSError) and error.errno == 28:
        return (
            f"no space left in {constants.HF_HUB_CACHE}",
            "Free some space, or set HF_HOME to a folder on another disk",
        )
    if isinstance(error, PermissionError):
        return f"no permission in {constants.HF_HUB_CACHE} ({message})", "Set HF_HOME to a folder of your own"
    return f"{type(error).__name__}: {message}", _fetch(repository)
