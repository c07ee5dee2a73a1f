"""What is fetched of a repository on the hub, when the cache will do, and what a failure says."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models import hub

WHOLE = {
    "model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "text_encoder/model.safetensors",
}  # fmt: skip

BESIDE = {
    "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin", "safety_checker/model.safetensors",
    "v1-5-pruned.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
}  # fmt: skip

BASE = hub.base_repository("me/base", "main")


def test_only_what_is_loaded_is_fetched() -> None:
    wanted, lacking = BASE.choose(WHOLE | BESIDE | {"card.json"})
    assert lacking == []
    assert set(wanted) == WHOLE | {"card.json"}


def test_shards_come_with_their_index_and_must_all_be_there() -> None:
    stem = "unet/diffusion_pytorch_model"
    shards = {f"{stem}-0000{n}-of-00002.safetensors" for n in (1, 2)} | {f"{stem}.safetensors.index.json"}
    sharded = WHOLE - {f"{stem}.safetensors"} | shards
    wanted, lacking = BASE.choose(sharded)
    assert set(wanted) == sharded
    assert lacking == []
    assert BASE.choose(sharded - {f"{stem}-00002-of-00002.safetensors"})[1] == [f"{stem}.safetensors"]


def test_files_of_one_variant_will_do() -> None:
    half = {name.replace(".safetensors", ".fp16.safetensors") for name in WHOLE}
    assert set(BASE.choose(half)[0]) == half


def test_a_controlnet_in_a_folder_of_its_repository() -> None:
    names = {
        "card.json",
        "model/config.json",
        "model/diffusion_pytorch_model.safetensors",
        "model/card.json",
        "README.md",
    }
    wanted, lacking = hub.controlnet_repository("me/cn", "main", "model").choose(names)
    assert set(wanted) == names - {"README.md"}
    assert not lacking


def test_the_second_text_encoder_of_xl_comes_along() -> None:
    second = {"text_encoder_2/config.json", "text_encoder_2/model.safetensors", "tokenizer_2/vocab.json"}
    wanted, lacking = BASE.choose(WHOLE | second | BESIDE)
    assert set(wanted) == WHOLE | second and lacking == []
    assert BASE.choose(WHOLE | {"text_encoder_2/config.json"})[1] == ["text_encoder_2/model.safetensors"]


def test_a_lora_is_one_file_of_its_repository() -> None:
    names = {"pytorch_lora_weights.safetensors", "other.safetensors", "README.md"}
    assert hub.lora_repository("me/lora", "main", None).choose(names) == (["pytorch_lora_weights.safetensors"], [])
    assert hub.lora_repository("me/lora", "main", "other.safetensors").choose(names) == (["other.safetensors"], [])
    assert hub.lora_repository("me/lora", "main", None).choose({"x.bin"})[1] == ["pytorch_lora_weights.safetensors"]


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder of a repository; asked for more, the hub's client answers `asked`."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path


def write(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    asked: list[str] = []

    def list_files(self: object, name: str, revision: str) -> list[str]:
        asked.append(name)
        if isinstance(answer, Exception):
            raise answer
        return sorted(answer)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", list_files)
    return asked


def test_a_whole_cache_asks_no_network(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(snapshot, WHOLE)
    asked = answers(monkeypatch, AssertionError())
    assert hub.locate(BASE) == snapshot
    assert asked == []


@pytest.mark.parametrize(
    "lost", ["unet/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json", "vae/config.json"]
)
def test_a_part_of_the_cache_is_completed(snapshot: Path, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    write(snapshot, WHOLE - {lost})
    (snapshot / lost).symlink_to("/gone")
    assert hub.cached(BASE) is None
    asked = answers(monkeypatch, WHOLE | BESIDE)
    hub.locate(BASE)
    assert asked == ["me/base"]


def test_half_of_an_xl_is_completed(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program took the parts that 1.x has, too."""
    write(snapshot, WHOLE)
    (snapshot / "model_index.json").write_text('{"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}')
    assert hub.cached(BASE) is None
    write(snapshot, {"text_encoder_2/config.json", "text_encoder_2/model.safetensors"})
    assert hub.cached(BASE) == snapshot


def response(status: int) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None)


def http_error(kind: type[Exception], status: int, text: str = "") -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, text or f"{status} Client Error")
    error.response = response(status)  # type: ignore[attr-defined]
    return error


FAILURES = [
    (http_error(errors.GatedRepoError, 403), r"its terms must be accepted first \(gated\)", "hf auth login"),
    (http_error(errors.RepositoryNotFoundError, 404), "no such repository, or a private one", "Check the name"),
    (http_error(errors.HfHubHTTPError, 401), "no such repository, or a private one", "hf auth login"),
    (http_error(errors.RevisionNotFoundError, 404), "it has no revision 'main'", "Set `revision`"),
    (http_error(errors.HfHubHTTPError, 429), "429 Too Many Requests", "Try again in some minutes"),
    (RuntimeError("407 Proxy Authentication Required"), "407 Proxy Authentication", "HTTPS_PROXY=http://user:password"),
    (OSError(errno.ENOSPC, "No space left on device"), "no space left in", "HF_HOME"),
    (PermissionError(errno.EACCES, "Permission denied"), "no permission in", "Set HF_HOME"),
    (ConnectionError("name resolution"), "ConnectionError: name resolution", "hf download me/base"),
    (ValueError("anything else\nin two lines"), "ValueError: anything else", "hf download me/base"),
]


@pytest.mark.parametrize(("error", "cause", "remedy"), FAILURES)
def test_a_failure_keeps_its_cause_and_its_own_remedy(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str, remedy: str
) -> None:
    answers(monkeypatch, error)
    with pytest.raises(ModelError, match=f"me/base .revision main.[^\n]*{cause}") as caught:
        hub.locate(BASE)
    assert remedy in str(caught.value)
    assert "model: embedded" in str(caught.value)


def test_offline_is_said_at_once(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = answers(monkeypatch, WHOLE)
    with pytest.raises(ModelError, match="this program is offline"):
        hub.locate(BASE)
    assert asked == []


def test_a_repository_of_pickles_is_refused(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {name.replace("safetensors", "bin") for name in WHOLE})
    with pytest.raises(
        ModelError, match=r"has no unet/diffusion_pytorch_model.safetensors.*pickles, which are not read"
    ):
        hub.locate(BASE)
