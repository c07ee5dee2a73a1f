"""Local copies of folders in object stores: addresses, what is fetched and sent, in which order, and what goes wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earthsynth_factory.errors import DiskError, FactoryError, FolderInUse, InputError, StoreError
from earthsynth_factory.io import mirror as module
from earthsynth_factory.io import objects
from earthsynth_factory.io.mirror import Mirror, local_copy, located
from earthsynth_factory.io.objects import ObjectAddress
from tests.io.stand_in_store import StandIn, store

__all__ = ["store"]

FOLDER = Path("s3://bucket/my data/größe")


@pytest.fixture(autouse=True)
def _nothing_fetched() -> None:
    module._fetched.cache_clear()


def mirror(address: str | Path = FOLDER) -> Mirror:
    found = ObjectAddress.of(address)
    assert found
    return Mirror(found)


def put(store: StandIn, **files: str) -> None:
    for name, text in files.items():
        store.pipe_file(f"bucket/my data/größe/{name.replace('__', '/')}", text.encode())


@pytest.mark.parametrize(
    ("given", "bucket", "key"),
    [
        ("s3://b/k", "b", "k"),
        (Path("s3://b/a b/größe/"), "b", "a b/größe"),
        ("gs://b", "b", ""),
        ("az://b//", "b", ""),
        ("s3:/b/k", "b", "k"),
    ],
)
def test_addresses(given: str | Path, bucket: str, key: str) -> None:
    found = ObjectAddress.of(given)
    assert found and (found.bucket, found.key) == (bucket, key)


@pytest.mark.parametrize("given", ["out/my", "/abs/x", "C:/data", "C:\\data", "a:b", ""])
def test_paths_are_no_addresses(given: str) -> None:
    assert ObjectAddress.of(given) is None
    assert given != "out/my" or located(Path("/base"), given) == Path("/base/out/my")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://host/x", "object stores are s3://, gs://, az://"),
        ("s3://", "write s3://BUCKET/FOLDER"),
        (Path("s3://"), "write s3://BUCKET/FOLDER"),
        ("s3://b/a//c", "without empty parts"),
        ("s3://b/../c", "without empty parts"),
        ("s3://b/a\\c", "without empty parts"),
        ("s3://b/a\nc", "without empty parts"),
        ("az://b:80/c", "without empty parts"),
        ("s3://AKIA:hidden@b/x", "holds no credentials"),
        ("s3://b/x?versionId=hidden", "holds no credentials and no query"),
    ],
)
def test_what_is_no_address_is_said(given: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        ObjectAddress.of(given)
    assert "hidden" not in str(caught.value)


def test_what_changed_is_fetched_and_what_went_goes(store: StandIn) -> None:
    put(store, a="one", b__c="two")
    with mirror().held() as copy:
        assert (copy.fetch() / "b/c").read_text() == "two"
        (copy.root / "made here").write_text("mine")
    put(store, a="one", b__c="other")
    store.rm_file("bucket/my data/größe/a")
    told: list[str] = []
    with local_copy(FOLDER, told.append) as folder:
        assert {path.name for path in folder.rglob("*") if path.is_file()} == {"c", "made here"}
        assert (folder / "b/c").read_text() == "other"
    assert len(told) == 1 and told[0].startswith("fetching 1 files, 5 bytes, from s3://bucket/my data/größe to ")


def test_only_what_changed_is_sent_and_marks_are_last(store: StandIn) -> None:
    with local_copy(FOLDER, lambda _: None, new=True, writes=True) as folder:
        for name in (".earthsynth-factory.json", "exports/coco/.earthsynth-factory-export", "z", "a/b", ".lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    sent = [name.removeprefix("bucket/my data/größe/") for name in store.sent if "probe" not in name]
    marks = ["exports/coco/.earthsynth-factory-export", ".earthsynth-factory.json"]
    assert sorted(sent[:2]) == ["a/b", "z"] and sent[2:] == marks
    store.sent.clear()
    with local_copy(FOLDER, lambda _: None, writes=True) as folder:
        (folder / "z").unlink()
        (folder / "a/b").write_text("changed")
    assert [name for name in store.sent if "probe" not in name] == ["bucket/my data/größe/a/b"]
    assert "/bucket/my data/größe/z" not in store.store


def test_nothing_is_sent_where_the_work_failed(store: StandIn) -> None:
    put(store, a="one")
    with pytest.raises(ValueError, match="broke"), local_copy(FOLDER, lambda _: None, writes=True) as folder:
        (folder / "a").write_text("half")
        raise ValueError("broke")
    assert store.cat_file("bucket/my data/größe/a") == b"one"


def test_what_arrives_torn_is_sent_again(store: StandIn) -> None:
    StandIn.torn = 2
    with local_copy(FOLDER, lambda _: None, new=True, writes=True) as folder:
        folder.mkdir()
        for name in "abc":
            (folder / name).write_text(name * 10)
    assert {store.cat_file(f"bucket/my data/größe/{name}") for name in "abc"} == {b"a" * 10, b"b" * 10, b"c" * 10}
    StandIn.torn = 99
    with (
        pytest.raises(DiskError, match="did not arrive whole"),
        local_copy(FOLDER, lambda _: None, writes=True) as folder,
    ):
        (folder / "a").write_text("again " * 5)


def shard(copy: Mirror, text: str) -> None:
    for name in ("images/0000000.png", "samples.jsonl"):
        path = copy.root / "shards/00000" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (copy.root / "shards/00000.json").write_text(f"marker of {text}")


def test_a_shard_is_one_tasks_whole_whoever_sends_it(store: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Mirror(mirror().address, "1/2"), Mirror(mirror().address, "2/2")
    with first.held(), second.held():
        shard(first, "first")
        shard(second, "second")
        create = first._store.create

        def be_late(name: str, data: bytes) -> bool:
            monkeypatch.undo()
            second.push_shard("00000")  # between our files and our marker
            return create(name, data)

        monkeypatch.setattr(first._store, "create", be_late)
        monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.0)
        first.push_shard("00000")
    assert {data.getvalue().split()[-1] for data in store.store.values()} == {b"first"}
    assert [name for name in store.sent if name.endswith("00000.json")][-1] == store.sent[-1]
    store.sent.clear()
    with first.held():
        first.push_shard("00000")
    assert not store.sent, "the store has it"


def test_of_shards_only_those_with_a_marker_are_fetched(store: StandIn) -> None:
    put(store, shards__00000__samples="x", shards__00001__samples="y", run="r")
    store.pipe_file("bucket/my data/größe/shards/00001.json", b"{}")
    with local_copy(FOLDER, lambda _: None) as folder:
        assert {path.name for path in folder.rglob("*") if path.is_file()} == {"samples", "00001.json", "run"}
        assert not (folder / "shards/00000").exists()


@pytest.mark.parametrize("harm", ["torn", "gone", "grown"])
def test_a_shard_that_was_damaged_in_the_store_is_seen_and_mended(store: StandIn, harm: str) -> None:
    image = "/bucket/my data/größe/shards/00000/images/0000000.png"
    with mirror().held() as copy:
        shard(copy, "whole")
        copy.push_shard("00000")
    good = dict(store.store)
    if harm == "gone":
        store.rm_file(image)
    else:
        store.pipe_file(image, b"wh" if harm == "torn" else b"whole and more")
    with mirror().held() as copy:
        copy.pull(copy.listing())
        found = copy.root / "shards/00000/images/0000000.png"
        assert not found.exists() if harm == "gone" else found.stat().st_size != 5
        shard(copy, "whole")  # as a build makes it anew, with the same marker
        copy.push_shard("00000")
    assert {name: data.getvalue() for name, data in store.store.items()} == {
        name: data.getvalue() for name, data in good.items()
    }


@pytest.mark.parametrize("key", ["a/../../b", "a//b", "/etc/x", "a\\b", "a\x07"])
def test_keys_that_are_no_paths_are_refused(store: StandIn, key: str, tmp_path: Path) -> None:
    put(store, fine="x")
    store.store[f"/bucket/my data/größe/{key}"] = store.store["/bucket/my data/größe/fine"]
    with pytest.raises(StoreError, match="is no path below it; rename that object"):
        located(tmp_path, str(FOLDER).replace(":/", "://"))
    assert not list((tmp_path / "cache").rglob("fine"))


def test_sources_are_fetched_once_in_a_process(store: StandIn, tmp_path: Path) -> None:
    put(store, a="one", weights="w")
    assert located(tmp_path, str(FOLDER)) == located(tmp_path, f"{FOLDER}/") == mirror().root
    store.error = OSError("gone")  # type: ignore[misc]
    assert (located(tmp_path, str(FOLDER)) / "a").read_text() == "one"
    StandIn.error = None
    del store.error
    assert located(tmp_path, f"{FOLDER}/weights").read_text() == "w", "a single object is a file"
    with pytest.raises(StoreError, match="nothing is there"):
        located(tmp_path, "s3://bucket/nothing")


def _answered(status: int, text: str = "") -> Exception:
    """An error as Azure's library has it."""
    error = OSError(text)
    error.status_code = status  # type: ignore[attr-defined]
    return error


def _error(kind: type[Exception], text: str) -> Exception:
    return kind(text)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (_error(FileNotFoundError, "no such bucket"), StoreError, "is the bucket there"),
        (_error(PermissionError, "GET https://h/x?sig=hidden denied"), StoreError, "environment's credentials"),
        (_error(type("NoCredentialsError", (Exception,), {}), "none"), StoreError, "environment's credentials"),
        (_error(ValueError, "Invalid bucket name"), StoreError, "is the address right"),
        (_error(OSError, "reset, token=hidden"), DiskError, "once the store answers"),
        (_error(TimeoutError, ""), DiskError, "TimeoutError"),
        (_error(OSError, "Forbidden: b/bucket/o"), StoreError, "environment's credentials"),
        (_answered(401), StoreError, "environment's credentials"),
        (_answered(403), StoreError, "environment's credentials"),
        (_answered(404), StoreError, "is the bucket there"),
        (_answered(400), StoreError, "is the address right"),
        (_answered(429), DiskError, "once the store answers"),
        (_answered(503, "AccountKey=hidden;x"), DiskError, "once the store answers"),
        (_error(OSError, "no host https://me:hidden@h/x"), DiskError, "once the store answers"),
        (_error(OSError, "cannot sign with hiddenInTheEnvironment"), DiskError, "once the store answers"),
        (
            _error(type("RefreshError", (type("GoogleAuthError", (Exception,), {}),), {}), "x"),
            StoreError,
            "credentials",
        ),
        (_error(type("TransportError", (type("GoogleAuthError", (Exception,), {}),), {}), "x"), DiskError, "answers"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_store_says_becomes_ours_without_its_secrets(
    store: StandIn, error: Exception, kind: type[FactoryError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=hiddenInTheEnvironment;B=http://h")
    StandIn.error = error
    with pytest.raises(kind, match=words) as caught, local_copy(FOLDER, lambda _: None):
        pass
    assert "hidden" not in str(caught.value)
    StandIn.error = None


def test_a_store_that_overwrites_is_refused(store: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    create = StandIn.pipe_file
    monkeypatch.setattr(StandIn, "pipe_file", lambda self, path, value, **_: create(self, path, value))
    with (
        pytest.raises(StoreError, match="the store overwrites what is to be put only if nothing is there"),
        local_copy(FOLDER, lambda _: None, new=True, writes=True),
    ):
        pass
    assert not store.store, "the probe is gone"


def test_what_a_killed_probe_left_is_not_there(store: StandIn, tmp_path: Path) -> None:
    put(store, **{"probe-0a.esf-tmp": ""})
    with pytest.raises(StoreError, match="nothing is there"):
        located(tmp_path, str(FOLDER))


def test_a_single_object_of_which_the_library_says_nothing_is_asked_about(
    store: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, weights="w")
    monkeypatch.setattr(StandIn, "find", lambda self, path, **_: [path])  # as Azure's
    assert located(tmp_path, f"{FOLDER}/weights").read_text() == "w"


def test_a_store_is_not_asked_for_ever(store: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", -1.0)
    asked: list[str] = []

    def be_slow(self: StandIn, path: str, **_: object) -> None:
        asked.append(path)
        raise TimeoutError

    monkeypatch.setattr(StandIn, "find", be_slow)
    with pytest.raises(DiskError), local_copy(FOLDER, lambda _: None):
        pass
    assert len(asked) == 1


def test_what_has_no_room_is_not_fetched(store: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, a="one" * 1000)
    usage: Callable[[object], object] = lambda _: shutil._ntuple_diskusage(10, 5, 5)  # type: ignore[attr-defined]  # noqa: E731
    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    with pytest.raises(DiskError, match="3 kB of s3://bucket/my data/größe are to be fetched and 5 bytes are free"):
        mirror().fetch()


def test_one_process_has_a_copy(store: StandIn) -> None:
    with mirror().held(), pytest.raises(FolderInUse), mirror().held():
        pass


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"needs gcsfs; pip install 'earthsynth-factory\[gcs\]'"):
        located(tmp_path, "gs://bucket/x")
