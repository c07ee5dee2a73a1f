"""Folders of masks: layouts, ids, groups, the index, and what hostile or damaged ones are told."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from earthsynth_factory.conditions.masks import index as mask_index
from earthsynth_factory.conditions.masks.folder import FolderSpec, MaskFolder
from earthsynth_factory.datasets.prepared.masks import MaskEntry, earthsynth_group, find_masks
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.png import encode_png
from tests.conditions.folders import DATA, context, shared, write_masks, write_prepared

IDS = np.array([[0, 1, 2], [3, 6, 25]], np.uint8)


def _open(path: Path, cache: Path, **spec: object) -> MaskFolder:
    return MaskFolder(FolderSpec(path=str(path), **spec), context(cache))  # type: ignore[arg-type]


def _png(array: np.ndarray | Image.Image, **options: object) -> bytes:
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _mapped() -> Image.Image:
    image = Image.fromarray(IDS)
    image.putpalette([channel for index in range(256) for channel in (255 - index, index // 2, 7)])
    return image


@pytest.mark.parametrize(
    "data",
    [_png(IDS), _png(IDS.astype(np.uint16)), _png(np.repeat(IDS[..., None], 3, 2)), _png(_mapped()), encode_png(IDS)],
    ids=["grey", "grey of 16 bits", "equal channels", "colour-mapped", "our own"],
)
def test_every_way_to_store_ids_gives_the_same_ids(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(read_ids(tmp_path / "a.png"), IDS)


def test_grey_of_four_bits_is_not_stretched(tmp_path: Path) -> None:
    rows = bytes([0, 0x01, 0x23]) + bytes([0, 0x45, 0x67])

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 4, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    assert read_ids(tmp_path / "a.png").tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_huge_header_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    data = bytearray(encode_png(IDS))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    (tmp_path / "a.png").write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"a\.png: 100000×100000 pixels are more than 134217728; cut the mask"):
        read_ids(tmp_path / "a.png")


def test_damaged_foreign_and_coloured_files_are_named(tmp_path: Path) -> None:
    whole = encode_png(np.tile(IDS, (50, 50)))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture at all, just a longer line of text")
    (tmp_path / "colour.png").write_bytes(_png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)))
    for name, said in [
        ("cut", "damaged PNG"),
        ("text", "not a PNG"),
        ("colour", "a colour picture"),
        ("none", "No such"),
    ]:
        with pytest.raises(SourceError, match=rf"{name}\.png: {said}.*[;,] "):
            read_ids(tmp_path / f"{name}.png")


def test_unknown_id_names_file_and_id_and_can_be_mapped(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "m", a=np.full((4, 4), 200, np.uint8))
    with pytest.raises(SourceError, match=r"m: 1 masks with id 200 stand for no category; say which"):
        _open(folder, tmp_path)
    found = _open(folder, tmp_path, classes={200: "Ships"})
    assert found.read(found.items[0]).mask.tolist() == [[17] * 4] * 4


def test_unknown_class_name_gets_a_hint(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "m", a=IDS)
    with pytest.raises(SourceError, match=r"class 1 is called 'shipp', which no category is; did you mean 'ship'"):
        _open(folder, tmp_path, classes={1: "shipp"})


def test_prepared_folder_tells_groups_scale_instances_and_licence(tmp_path: Path) -> None:
    folder = _open(DATA / "kit_ais", tmp_path)
    assert {item.group for item in folder.items} == {"autobahn", "crossroad", "munich-street"}
    assert all(item.metres_per_pixel == 0.15 for item in folder.items)
    pixels = folder.read(folder.items[0])
    assert pixels.known and len(pixels.objects) == 17 == pixels.instances.max()
    assert folder.licences()[0].startswith("KIT AIS vehicles, samples: CC BY 3.0; Karlsruhe")


@pytest.mark.parametrize(
    ("stem", "group"),
    [
        ("DG_629683_0_road", "DG_629683"),
        ("LD_300_0", "LD_300"),
        ("OEMxBD_coxsbazar_56_2", "OEMxBD_coxsbazar_56"),
        ("FAST_train_5093_0001_0_small_vehicle", "FAST_train_5093_0001"),
    ],
)
def test_group_of_an_earthsynth_stem(stem: str, group: str) -> None:
    assert earthsynth_group(stem) == group


def test_published_layout_and_group_pattern(tmp_path: Path) -> None:
    write_masks(tmp_path / "d" / "masks", DG_1_0_road=IDS, DG_1_1=IDS, DG_2_0=IDS)
    assert [entry.group for entry in find_masks(tmp_path / "d").entries] == ["DG_1", "DG_1", "DG_2"]
    by_pattern = find_masks(tmp_path / "d", r"^(\w\w)_").entries
    assert {entry.group for entry in by_pattern} == {"DG"}


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "in", a=IDS)
    outside = write_masks(tmp_path / "out", b=IDS) / "b.png"
    (folder / "b.png").symlink_to(outside)
    with pytest.raises(SourceError, match=r"b\.png: a link that leads out of"):
        find_masks(folder)


def test_list_and_files_must_agree(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "d", np.full((4, 4), 17, np.uint8), np.ones((4, 4), np.uint16))
    write_masks(folder / "masks", extra=IDS)
    with pytest.raises(SourceError, match=r"extra\.png is not in dataset\.json; list it"):
        find_masks(folder)
    (folder / "masks" / "extra.png").unlink()
    (folder / "masks" / "a.png").rename(folder / "masks" / ".a.png")
    with pytest.raises(SourceError, match="no PNG masks"):
        find_masks(folder)


def test_broken_dataset_json_names_its_field(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "d", np.full((4, 4), 17, np.uint8), np.ones((4, 4), np.uint16))
    about = json.loads((folder / "dataset.json").read_text())
    about["items"]["a"]["metres_per_pixel"] = -1
    (folder / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(SourceError, match=r"items\.a\.metres_per_pixel: .*greater than 0.*prepare the dataset again"):
        find_masks(folder)


def test_instance_of_two_classes_or_other_size_is_named(tmp_path: Path) -> None:
    mask = np.array([[17, 16], [17, 16]], np.uint8)
    two = write_prepared(tmp_path / "two", mask, np.ones((2, 2), np.uint16))
    with pytest.raises(SourceError, match=r"instances/a\.png: instance 1 covers more than one class; give"):
        _open(two, tmp_path)
    other = write_prepared(tmp_path / "other", mask, np.ones((3, 2), np.uint16))
    with pytest.raises(SourceError, match=r"instances/a\.png: 2×3 pixels, its mask has 2×2; write both"):
        _open(other, tmp_path)


def test_index_is_reused_rebuilt_and_survives_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_masks(tmp_path / "m", a=IDS, b=IDS)
    read: list[str] = []
    count = mask_index.count_mask
    monkeypatch.setattr(mask_index, "count_mask", lambda entry: (read.append(entry.stem), count(entry))[1])
    first = _open(folder, tmp_path / "c").content
    assert read == ["a", "b"]
    assert _open(folder, tmp_path / "c").content == first and read == ["a", "b"]
    write_masks(folder, b=np.full((2, 2), 6, np.uint8))
    assert _open(folder, tmp_path / "c").content != first and read == ["a", "b", "b"]
    (cache,) = (tmp_path / "c").iterdir()
    cache.write_bytes(b'{"version": 1, "masks": {"a": 3, "b": {"stamp": "x"}}}')
    _open(folder, tmp_path / "c")
    assert read == ["a", "b", "b", "a", "b"]


def test_counting_that_is_stopped_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_masks(tmp_path / "m", a=IDS, b=IDS, c=IDS)
    read: list[str] = []
    count = mask_index.count_mask

    def slow(entry: MaskEntry) -> mask_index.MaskCounts:
        if read == ["a", "b"]:
            raise KeyboardInterrupt
        read.append(entry.stem)
        return count(entry)

    monkeypatch.setattr(mask_index, "_SAVE_SECONDS", 0)
    monkeypatch.setattr(mask_index, "count_mask", slow)
    with pytest.raises(KeyboardInterrupt):
        _open(folder, tmp_path / "c")
    monkeypatch.setattr(mask_index, "count_mask", lambda entry: (read.append(entry.stem), count(entry))[1])
    _open(folder, tmp_path / "c")
    assert read == ["a", "b", "c"]


def test_only_split_and_memory_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"no item is of the split 'val'; `only_split` may be"):
        _open(DATA / "kit_ais", tmp_path, only_split="val")
    monkeypatch.setattr("earthsynth_factory.conditions.masks.folder.CACHE_BYTES", 1)
    folder = _open(DATA / "dubai", tmp_path)
    for item in folder.items:
        folder.read(item)
    assert len(folder._cache) == 1


def test_demo_control_mask_holds_storage_tanks(tmp_path: Path) -> None:
    folder = _open(shared("formats", "earthsynth", "demo_control_mask.png"), tmp_path)
    assert [item.categories for item in folder.items] == [(25,)]


def test_missing_folder_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=re.escape(f"{tmp_path / 'x'}: no such folder or file; check `path`")):
        find_masks(tmp_path / "x")
