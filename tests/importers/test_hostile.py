"""Files made to harm or merely broken: named, counted, skipped; nothing is run, nothing is written outside."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.importers.readers.pickles import read_plain
from earthsynth_factory.importers.texts import read_xml
from earthsynth_factory.io.pictures import Picture
from tests.importers import layouts

OPTIONS = PrepareOptions(rules=CropRules(0), workers=1)
STRICT = PrepareOptions(rules=CropRules(0), workers=1, strict=True)


def problems(out: Path) -> str:
    return (out / "problems.txt").read_text()


def both(source: Path, tmp_path: Path, words: str) -> None:
    """Without `strict` a problem that is written down, with it an error."""
    prepare(source, tmp_path / "out", OPTIONS)
    assert words in problems(tmp_path / "out")
    with pytest.raises(SourceError, match=r"\(--strict\)|stand for no class|damaged|pixels"):
        prepare(source, tmp_path / "strict", STRICT)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([{"mask": Evil(tmp_path / "harm")}], protocol))
    with pytest.raises(SourceError, match="only plain data is read, never code"):
        read_plain(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_come_back(protocol: int, tmp_path: Path) -> None:
    data = [
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": b"\x00\xff", "c": (1, None, True), "d": np.int64(-5)}
    ]
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(data, protocol))
    [found] = read_plain(path)
    np.testing.assert_array_equal(found["a"], data[0]["a"])
    assert (found["b"], found["c"], found["d"]) == (b"\x00\xff", (1, None, True), -5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2, 3])[:-3],
        b"cbuiltins\neval\n(S'1'\ntR.",
        pickle.dumps(np.array([object()], dtype=object), 2),
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I99999999999\ntS'b'\ntR(I1\n(I99999999\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS''\ntb.",
    ],
)
def test_damaged_and_crafted_pickles_are_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.pkl"):
        read_plain(path)


def test_a_hostile_pickle_beside_good_ones_costs_its_scene_alone(tmp_path: Path) -> None:
    source = layouts.samrs(tmp_path / "in")
    home = source / "SOTA" / "train"
    layouts.put(home / "gray" / "P2.png", np.full((64, 96), 255, np.uint8))
    layouts.image(home / "images" / "P2.png", 3)
    (home / "ins" / "P2.pkl").write_bytes(pickle.dumps([Evil(tmp_path / "harm")]))
    summary = prepare(source, tmp_path / "out", OPTIONS)
    assert (summary.images, summary.problems) == (1, 1)
    assert "P2.pkl: a pickle that names" in problems(tmp_path / "out")
    assert not (tmp_path / "harm").exists()


def archive(path: Path, entries: dict[str, bytes], **links: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
        for name, target in links.items():
            info = zipfile.ZipInfo(f"train/images/{name}.png")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, target)


def packed(tmp_path: Path) -> dict[str, bytes]:
    home = layouts.earthsynth(tmp_path / "made")
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*.png"))}


def test_archive_parts_are_joined_and_entries_weighed(tmp_path: Path) -> None:
    entries = packed(tmp_path)
    bomb = b"\0" * 30_000_000
    hostile = {
        "../escape.png": b"x",
        "/abs/images/a.png": b"x",
        "train/images/bomb.png": bomb,
        "train/images/run.sh": b"x",
    }
    archive(tmp_path / "whole.zip", {**entries, **hostile}, link="/etc/passwd")
    data = (tmp_path / "whole.zip").read_bytes()
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    step = len(data) // 3 + 1
    for number, letter in enumerate("abc"):
        (downloads / f"train.zip_part_a{letter}").write_bytes(data[number * step : (number + 1) * step])
    summary = prepare(downloads, tmp_path / "out", OPTIONS)
    assert summary.kind == "earthsynth-180k"
    assert summary.images == 1
    text = problems(tmp_path / "out")
    for words in (
        "'../escape.png': its path leads out",
        "'/abs/images/a.png': its path leads out",
        "link.png': a link",
    ):
        assert words in text
    assert "bomb.png': 30000000 bytes" in text
    assert not (tmp_path / "escape.png").exists()
    assert not list((tmp_path / "out").rglob("*.sh"))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    for letter in "ac":
        (tmp_path / f"train.zip_part_a{letter}").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"train\.zip_part_ab is missing"):
        prepare(tmp_path, tmp_path.with_name("o"), OPTIONS)


def test_a_torn_archive_is_named(tmp_path: Path) -> None:
    archive(tmp_path / "whole.zip", packed(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.zip_part_aa").write_bytes((tmp_path / "whole.zip").read_bytes()[:-40])
    with pytest.raises(SourceError, match="not a whole zip archive"):
        prepare(tmp_path / "d", tmp_path / "out", OPTIONS)


def test_a_damaged_entry_is_skipped(tmp_path: Path) -> None:
    entries = packed(tmp_path) | {"train/images/LD_1_0.png": os.urandom(5000), "train/masks/LD_1_0.png": b"m" * 100}
    archive(tmp_path / "train.zip", entries)
    data = bytearray((tmp_path / "train.zip").read_bytes())
    place = data.find(entries["train/images/LD_1_0.png"][:50])
    data[place + 10] ^= 0xFF
    (tmp_path / "train.zip").write_bytes(data)
    assert prepare(tmp_path / "train.zip", tmp_path / "out", OPTIONS).images == 1
    assert "LD_1_0.png': damaged" in problems(tmp_path / "out")


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png_of(200_000, 200_000), "pixels are too many at once; use --crop"),
        (png_of(64, 64), "damaged or cut short"),
        (b"GIF89a" + b"\0" * 50, "not a readable image"),
        (b"", "not a readable image"),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged or cut short"),
        (b"\x89PNG\r\n\x1a\nrubbishIEND", "not a readable"),
        (b"II*\0" + b"\xff" * 64, "not a readable"),
    ],
)
def test_bombs_and_broken_images_are_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=words), Picture(path) as picture:
        picture.rgb(0, picture.shape[0])


def test_pixels_that_a_png_lacks_are_never_taken_from_memory(tmp_path: Path) -> None:
    """Its packed data are whole, but end early: whether a decoder minds depends on what lay in its memory before."""
    path = tmp_path / "x.png"
    path.write_bytes(png_of(64, 64))

    def look(_: int) -> bool:
        with pytest.raises(SourceError, match="damaged or cut short"), Picture(path) as picture:
            picture.rgb(0, 64)
        return True

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(look, range(300)))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_picture_cut_short_is_never_filled_in(suffix: str, tmp_path: Path) -> None:
    path = layouts.image(tmp_path / f"x.{suffix}", 0, 300, 300)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match=r"damaged or cut short|not a readable"), Picture(path) as picture:
        picture.rgb(0, 300)


def test_flipped_bits_of_a_png_are_noticed(tmp_path: Path) -> None:
    path = layouts.image(tmp_path / "x.png", 0, 300, 300)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged or cut short"), Picture(path) as picture:
        picture.rgb(0, 300)


def test_sixteen_bit_images_are_refused_with_a_remedy(tmp_path: Path) -> None:
    path = layouts.put(tmp_path / "x.png", np.zeros((8, 8), np.uint16))
    with pytest.raises(SourceError, match="uint16 pixels; say how they become 8 bits"), Picture(path) as picture:
        picture.rgb(0, 8)


def two_masks(tmp_path: Path) -> Path:
    source = layouts.masks(tmp_path / "in")
    layouts.image(source / "images" / "n.jpg", 5)
    return source


def test_a_truncated_image(tmp_path: Path) -> None:
    source = two_masks(tmp_path)
    layouts.put(source / "masks" / "n.png", layouts.stripes([1]))
    layouts.image(source / "images" / "n.png")
    data = (source / "images" / "n.png").read_bytes()
    (source / "images" / "n.jpg").unlink()
    (source / "images" / "n.png").write_bytes(data[: len(data) // 2])
    both(source, tmp_path, "n.png: damaged or cut short")


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    source = two_masks(tmp_path)
    layouts.put(source / "masks" / "n.png", layouts.stripes([1], 32, 32))
    both(source, tmp_path, "the image has 96×64 pixels, its mask 32×32")


def test_an_id_out_of_range(tmp_path: Path) -> None:
    source = two_masks(tmp_path)
    layouts.put(source / "masks" / "n.png", layouts.stripes([1, 77]))
    both(source, tmp_path, "ids [77] stand for no class")


def test_an_id_that_earthsynth_has_not(tmp_path: Path) -> None:
    source = layouts.earthsynth(tmp_path / "in")
    layouts.put(source / "train" / "masks" / "DG_5_1.png", layouts.stripes([69]))
    both(source, tmp_path, "ids [69] stand for no class")


@pytest.mark.parametrize(
    "line", ["1 2 3", "a b c d e f g h ship 0", "1 2 3 4 5 6 7 8 ship 0 extra", "nan 1 1 1 1 1 1 1 ship 0"]
)
def test_malformed_dota_lines_are_named_by_number(line: str, tmp_path: Path) -> None:
    source = layouts.dota(tmp_path / "in")
    path = source / "train" / "labelTxt" / "P0001.txt"
    path.write_text(f"{path.read_text()}{line}\n")
    both(source, tmp_path, "P0001.txt:5: ")


@pytest.mark.parametrize("line", ["7 0.5 0.5 0.1 0.1", "0 0.5", "x 1 1 1 1", "0 0.1 0.1 0.2"])
def test_malformed_yolo_lines_are_named_by_number(line: str, tmp_path: Path) -> None:
    source = layouts.yolo(tmp_path / "in")
    layouts.text(source / "data.yaml", "names: [ship, plane]\n")
    layouts.text(source / "labels" / "val" / "empty.txt", f"0 0.5 0.5 0.2 0.2\n{line}\n")
    both(source, tmp_path, "empty.txt:2: ")


def test_malformed_and_exploding_xml(tmp_path: Path) -> None:
    source = layouts.voc(tmp_path / "in")
    home = source / "VOC2012"
    layouts.image(home / "JPEGImages" / "y.jpg", 4)
    layouts.text(home / "Annotations" / "y.xml", "<annotation>\n<object><name>ship</object>")
    both(source, tmp_path, "y.xml:2: malformed XML")
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    with pytest.raises(SourceError, match="declares entities"):
        read_xml(layouts.text(tmp_path / "bomb.xml", bomb))


def test_malformed_json_names_line_and_column(tmp_path: Path) -> None:
    source = layouts.coco_folder(tmp_path / "in")
    path = source / "annotations" / "instances_train.json"
    path.write_text(path.read_text()[:-30] + "\n}}")
    with pytest.raises(SourceError, match=r"instances_train\.json:\d+:\d+: malformed JSON"):
        prepare(source, tmp_path / "out", OPTIONS)


def test_coco_entries_that_make_no_sense_are_skipped_one_by_one(tmp_path: Path) -> None:
    document = layouts.coco_document()
    bad = [
        {"id": 90, "image_id": 5, "category_id": 404, "bbox": [1, 1, 2, 2]},
        "text",
        {"id": 91, "image_id": 5, "category_id": 3, "segmentation": [[1, 2, 3]]},
        {"id": 92, "image_id": 5, "category_id": 3, "segmentation": {"size": [9, 9], "counts": "1"}},
        {"id": 93, "image_id": 5, "category_id": 3, "segmentation": []},
        {"id": 94, "image_id": 5, "category_id": 3, "bbox": [1, 1, -5, 2]},
    ]
    images = [*document["images"], {"id": 6, "file_name": "../../../etc/passwd"}, {"id": 7}]
    document = {**document, "images": images, "annotations": [*document["annotations"], *bad]}
    source = layouts.coco_folder(tmp_path / "in", document)
    summary = prepare(source, tmp_path / "out", OPTIONS)
    assert (summary.images, summary.problems) == (1, 8)
    text = problems(tmp_path / "out")
    for words in (
        "category_id 404, which is not listed",
        "an annotation without image_id and category_id",
        "an image without id and file_name",
        "annotation 91: ",
        "annotation 92: ",
        "annotation 93: ",
        "annotation 94: ",
    ):
        assert words in text
    assert "image '../../../etc/passwd' (id 6) is missing" in text


def test_links_out_of_the_folder_are_followed_and_said(tmp_path: Path) -> None:
    source = layouts.masks(tmp_path / "in")
    outside = layouts.image(tmp_path / "secret.png")
    (source / "images" / "n.png").symlink_to(outside)
    layouts.put(source / "masks" / "n.png", layouts.stripes([1]))
    summary = prepare(source, tmp_path / "out", OPTIONS)
    assert summary.images == 2
    assert any(remark.startswith("links that lead out of the folder") for remark in summary.remarks)


def test_a_map_file_with_faults_lists_them_all(tmp_path: Path) -> None:
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.importers.classes import read_map

    path = layouts.text(tmp_path / "map.yaml", 'car: smal vehicle\n"#12": road\ntank: xyzzy\n')
    with pytest.raises(InputError) as caught:
        read_map(path)
    assert "car: no category is called 'smal vehicle'; near: small vehicle" in str(caught.value)
    assert 'a colour is written "#RRGGBB"' in str(caught.value)
    assert "tank: no category is called 'xyzzy'" in str(caught.value)


def test_joined_parts_read_like_one_file(tmp_path: Path) -> None:
    from earthsynth_factory.importers.archives import Joined

    parts = [b"abc", b"", b"defgh", b"i"]
    paths = []
    for number, data in enumerate(parts):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(data)
    with io.BufferedReader(Joined(paths)) as file:  # type: ignore[arg-type]
        assert file.read() == b"abcdefghi"
        file.seek(-4, io.SEEK_END)
        assert file.read(2) == b"fg"
