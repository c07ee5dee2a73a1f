"""Images say how they came to be, in a form that others read; and that costs no pixel."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.provenance import DigitalSource, joint_source, marked, source_type_of, xmp_packet

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.mark.parametrize("source", list(DigitalSource))
def test_a_png_says_its_source_type_and_keeps_its_pixels(tmp_path: Path, source: DigitalSource) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(PIXELS, source=source))
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), PIXELS)
        packet = ElementTree.fromstring(image.info["XML:com.adobe.xmp"].split("?>", 1)[1].rsplit("<?", 1)[0])
    [said] = [value for node in packet.iter() for key, value in node.items() if key.endswith("DigitalSourceType")]
    assert said == f"http://cv.iptc.org/newscodes/digitalsourcetype/{source}"
    assert source_type_of(path) == source


def test_files_of_others_are_read(tmp_path: Path) -> None:
    jpeg, plain, text = tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "c.txt"
    Image.fromarray(PIXELS).save(jpeg, xmp=xmp_packet(DigitalSource.EDITED))
    plain.write_bytes(encode_png(PIXELS))
    text.write_bytes(b"")
    assert source_type_of(jpeg) == "compositeWithTrainedAlgorithmicMedia"
    assert source_type_of(plain) is None and source_type_of(text) is None


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_pages_and_previews_are_marked_with_the_same_pixels(tmp_path: Path, form: str) -> None:
    buffer, path = io.BytesIO(), tmp_path / "a"
    Image.fromarray(PIXELS).save(buffer, form)
    path.write_bytes(marked(buffer.getvalue(), DigitalSource.GENERATED))
    assert source_type_of(path) == DigitalSource.GENERATED
    with Image.open(path) as image, Image.open(buffer) as before:
        assert np.array_equal(np.asarray(image), np.asarray(before))
    assert marked(buffer.getvalue(), None) == buffer.getvalue()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (["trainedAlgorithmicMedia"] * 3, "trainedAlgorithmicMedia"),
        (["trainedAlgorithmicMedia", "digitalCapture"], "compositeSynthetic"),
        (["compositeCapture", None], "compositeSynthetic"),
        ([None, "digitalCapture"], None),
        ([], None),
    ],
)
def test_a_page_says_what_its_pictures_say(terms: list[str | None], said: str | None) -> None:
    assert joint_source(terms) == said


@pytest.mark.parametrize("cut", [9, 20, 60, 200])
def test_damaged_files_say_nothing(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(PIXELS, source=DigitalSource.GENERATED)[:cut])
    assert source_type_of(path) is None
