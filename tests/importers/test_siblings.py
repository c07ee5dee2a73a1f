"""Traits that real files have beside the usual ones: each is read, or its loss is said; nothing ends as a wrong negative."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import FactoryError, InputError, SourceError
from tests.importers.layouts import H, W, box_mask, image, put, text
from tests.importers.test_layouts import BOTTOM, BOX, LEFT, RIGHT, SHIP, TOP, YOLO, Make, coco, done, objects, xml

RING = [LEFT, TOP, RIGHT, TOP, RIGHT, BOTTOM, LEFT, BOTTOM]
SHIP_ID = earthsynth().named("ship").id
PAIRS = [list(pair) for pair in zip(RING[::2], RING[1::2], strict=True)]
CORNERS = " ".join(map(str, RING))


def coco_file(annotation: dict[str, Any] | None = None, **changes: Any) -> Make:
    return lambda root: (
        image(root / "images" / "a.jpg"),
        text(root / "ann.json", json.dumps(coco(annotation, **changes))),
    )


def yolo_file(line: str = YOLO, data: str = "names: [ship]\n", **texts: str) -> Make:
    def make(root: Path) -> None:
        image(root / "images" / "a.jpg")
        for name, content in {"labels/a.txt": line, "data.yaml": data, **texts}.items():
            text(root / name, content)

    return make


def dota_file(line: str) -> Make:
    return lambda root: (image(root / "images" / "a.png"), text(root / "labelTxt" / "a.txt", line))


def cvat_file(shapes: str, around: str = "") -> Make:
    head = f'<image id="0" name="a.jpg" width="{W}" height="{H}">'
    content = f"<annotations><version>1.1</version>{around}{head}{shapes}</image></annotations>"
    return lambda root: (image(root / "a.jpg"), text(root / "annotations.xml", content))


def voc_file(content: str) -> Make:
    return lambda root: (image(root / "JPEGImages" / "a.jpg"), text(root / "Annotations" / "a.xml", content))


CVAT_BOX = f'<box label="ship" xtl="{LEFT}" ytl="{TOP}" xbr="{RIGHT}" ybr="{BOTTOM}"/>'
STUDIO = {
    "type": "rectanglelabels",
    "original_width": W,
    "original_height": H,
    "value": {
        "x": LEFT / W * 100,
        "y": TOP / H * 100,
        "width": (RIGHT - LEFT) / W * 100,
        "height": (BOTTOM - TOP) / H * 100,
        "rotation": 0,
        "rectanglelabels": ["ship", "plane"],
    },
}


def latin(root: Path) -> None:
    image(root / "é.jpg")
    images = [{"id": 1, "file_name": "é.jpg", "height": H, "width": W}]
    (root / "ann.json").write_bytes(json.dumps(coco(images=images), ensure_ascii=False).encode("latin-1"))


ONE_SHIP: dict[str, tuple[Make, str]] = {
    "coco: no segmentation and null": (coco_file({"segmentation": None}), ""),
    "coco: null box beside a polygon": (coco_file({"bbox": None, "segmentation": [RING]}), ""),
    "coco: two points": (coco_file({"segmentation": [RING[:4]]}), "outlines without an area, the box taken for them"),
    "coco: numbers as text": (coco_file({"bbox": [str(n) for n in SHIP[1]]}), ""),
    "coco: negative category id": (coco_file({"category_id": -1}, categories=[{"id": -1, "name": "ship"}]), ""),
    "coco: text for category ids": (coco_file({"category_id": "s"}, categories=[{"id": "s", "name": "ship"}]), ""),
    "coco: an annotation twice": (
        coco_file(annotations=coco()["annotations"] * 2),
        "objects drawn twice alike, taken once",
    ),
    "coco: latin-1": (latin, ""),
    "coco: outlines of pairs": (coco_file({"segmentation": [PAIRS], "bbox": None}), ""),
    "coco: an outline of pairs alone": (coco_file({"segmentation": PAIRS, "bbox": None}), ""),
    "yolo: an empty first line, tabs": (yolo_file("\n" + YOLO.replace(" ", "\t") + "  \n"), ""),
    "yolo: a line twice": (yolo_file(YOLO * 2), "objects drawn twice alike, taken once"),
    "yolo: numbers with exponents": (yolo_file(" ".join(f"{float(n):.9e}" for n in YOLO.split())), ""),
    "dota: no difficulty, floats": (dota_file(f"{CORNERS.replace(' ', '.0 ')}.0 ship"), ""),
    "dota: gsd unknown": (dota_file(f"imagesource:GoogleEarth\ngsd:None\n{CORNERS} ship 0"), ""),
    "cvat: a group": (cvat_file(CVAT_BOX.replace("<box ", '<box group_id="1" ')), ""),
    "label studio: two labels": (
        lambda root: (
            image(root / "a.jpg"),
            text(root / "p.json", json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": [STUDIO]}]}])),
        ),
        "shapes with several labels, the first is taken",
    ),
}
"""Layout → how it is made, and what is remarked of it."""


@pytest.mark.parametrize("layout", ONE_SHIP)
def test_the_ship_is_read_and_what_was_done_is_said(layout: str, tmp_path: Path) -> None:
    make, remark = ONE_SHIP[layout]
    dataset, summary = done(make, tmp_path)
    assert objects(dataset) == [SHIP]
    assert summary.problems == 0
    assert list(summary.remarks) == ([remark] if remark else [])
    assert not summary.left_out, "nothing is said to be left out nought times"


NOTHING_LEFT: dict[str, tuple[Make, str]] = {
    "coco: no shape at all": (coco_file({"bbox": None, "segmentation": None}), "nor a box with an extent"),
    "coco: a size of nought": (coco_file({"bbox": [20, 20, 0, 0]}), "nor a box with an extent"),
    "coco: annotations of another file's images": (coco_file({"image_id": 7}), "not listed (image_id 7"),
    "coco: corners in place of a size": (
        coco_file({"bbox": [LEFT, TOP, RIGHT, BOTTOM], "area": (RIGHT - LEFT) * (BOTTOM - TOP)}),
        "that of a box from corner to corner",
    ),
    "coco: outside its image": (coco_file({"bbox": [500, 500, 20, 20]}), "image with all its objects outside"),
    "coco: a class that is not listed": (coco_file({"category_id": 99}), "category_id 99, which is not listed"),
    "coco: no class": (coco_file({"category_id": None}), "an annotation without image_id and category_id"),
    "coco: annotations in a block": (coco_file(annotations={"1": coco()["annotations"][0]}), "passed over"),
    "coco: one image under two ids": (
        coco_file(
            images=[{"id": n, "file_name": "a.jpg", "height": H, "width": W} for n in (1, 2)],
            annotations=[coco({"image_id": n, "bbox": [n, n, 9, 9]})["annotations"][0] for n in (1, 2)],
        ),
        "lists each of them under several ids",
    ),
    "yolo: a size of nought": (yolo_file("0 0.5 0.5 0 0"), "it has no area"),
    "yolo: a confidence at the end": (yolo_file(f"{YOLO.strip()} 0.9"), "not a known class with a box or polygon"),
    "yolo: a class beyond the names": (yolo_file("5" + YOLO[1:]), "not a known class with a box or polygon"),
    "yolo: nothing names the classes": (yolo_file(data="nc: 1\n"), "no class names"),
    "dota: outside its image": (dota_file("500 500 520 500 520 520 500 520 ship 0"), "all its objects outside"),
    "dota: a line of no width": (dota_file("20 20 40 20 40 20 20 20 ship 0"), "it has no area"),
    "voc: corners the other way": (
        voc_file(xml("<bndbox><xmin>40</xmin><ymin>30</ymin><xmax>21</xmax><ymax>11</ymax></bndbox>")),
        "sizes that are not negative",
    ),
    "cvat: tags alone": (cvat_file('<tag label="ship"/>'), "image with a tag alone"),
    "cvat: a video's tracks": (cvat_file("", '<track label="ship"><box/></track>'), "tracks of a video are not read"),
}
"""Layout → what is said of its only image, which is not taken for a negative."""


@pytest.mark.parametrize("layout", NOTHING_LEFT)
def test_an_image_whose_labels_say_nothing_is_no_negative(layout: str, tmp_path: Path) -> None:
    make, said = NOTHING_LEFT[layout]
    if layout.endswith("tracks"):
        _, summary = done(make, tmp_path)
        assert summary.problems == 1
        assert said in (tmp_path / "out" / "problems.txt").read_text()
        return
    with pytest.raises(FactoryError) as caught:
        done(make, tmp_path)
    assert said in str(caught.value)


def test_what_lists_and_folders_name_beyond_the_images_is_said(tmp_path: Path) -> None:
    lists = {"train.txt": "./images/a.jpg\n./images/gone.jpg\n"}
    _, summary = done(yolo_file(data="train: train.txt\nnames: [ship]\n", **lists), tmp_path / "list")
    assert "gone.jpg" in (tmp_path / "list" / "out" / "problems.txt").read_text()
    assert summary.problems == 1
    _, summary = done(yolo_file(**{"labels/b.txt": YOLO}), tmp_path / "label")
    assert summary.left_out == {"label file without an image": 1}
    more = lambda root: (coco_file()(root), image(root / "images" / "b.jpg", 1))  # noqa: E731
    _, summary = done(more, tmp_path / "unlisted")
    assert summary.left_out == {"image beside those of the annotation files, in none of them": 1}


def two_cases(root: Path, kind: str) -> None:
    """a with the ship and A without anything, in names that differ in case alone."""
    for seed, stem in enumerate("aA"):
        image(root / "images" / f"{stem}.png", seed)
        ship = stem == "a"
        if kind == "yolo":
            text(root / "labels" / f"{stem}.txt", YOLO if ship else "")
        elif kind == "dota":
            text(root / "labelTxt" / f"{stem}.txt", f"{CORNERS} ship 0\n" if ship else "")
        elif kind == "voc":
            content = xml().replace("a.jpg", f"{stem}.png")
            content = content if ship else re.sub("<object>.*</object>", "", content, flags=re.DOTALL)
            text(root / "Annotations" / f"{stem}.xml", content)
        elif kind == "masks":
            put(root / "masks" / f"{stem}.png", box_mask(*BOX) * ship)
    listed = [{"id": n, "file_name": f"{stem}.png", "height": H, "width": W} for n, stem in enumerate("aA", 1)]
    extra = {"yolo": ("data.yaml", "names: [ship]"), "masks": ("classes.json", '{"1": "ship"}')}
    extra["coco"] = ("ann.json", json.dumps(coco(images=listed)))
    if kind in extra:
        text(root / extra[kind][0], extra[kind][1])


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc", "dota", "masks"])
def test_names_that_differ_in_case_alone_are_two(kind: str, tmp_path: Path) -> None:
    two_cases(tmp_path / "in", kind)
    if len(list((tmp_path / "in" / "images").iterdir())) < 2:
        pytest.skip("this file system takes them for one")
    dataset, summary = done(lambda root: None, tmp_path)
    shown = {record.stem: bool((dataset.read_mask(record.stem) == SHIP_ID).any()) for record in dataset.samples()}
    assert shown == {"a": True, "A": False}
    assert not summary.remarks


def test_a_class_of_two_words_in_dotas_form(tmp_path: Path) -> None:
    dataset, _ = done(dota_file(f"{CORNERS} small vehicle 0"), tmp_path)
    assert objects(dataset) == [("small vehicle", SHIP[1])]


def test_difficult_is_a_yes_in_any_spelling(tmp_path: Path) -> None:
    dataset, _ = done(voc_file(xml().replace("</object>", "<difficult>True</difficult></object>")), tmp_path)
    assert [one.flags for record in dataset.samples() for one in record.instances] == [("difficult",)]


def masks_of(root: Path, bands: list[np.ndarray], dtype: str = "uint8") -> None:
    import rasterio

    image(root / "images" / "a.png")
    path = root / "masks" / "a.tif"
    path.parent.mkdir(parents=True)
    with rasterio.open(path, "w", driver="GTiff", height=H, width=W, count=len(bands), dtype=dtype) as file:
        file.write(np.stack(bands).astype(dtype))
    text(root / "classes.json", '{"1": "ship"}')


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_label_images_of_any_number_type_and_none_by_one_band_of_several(tmp_path: Path) -> None:
    ship = box_mask(*BOX)
    for number, (bands, dtype) in enumerate(
        [([ship], "int32"), ([ship], "float32"), ([ship, ship * 0 + 255], "uint8")]
    ):
        dataset, _ = done(lambda root, b=bands, d=dtype: masks_of(root, b, d), tmp_path / str(number))
        assert objects(dataset) == [SHIP], dtype
    missing = np.where(np.arange(W) < 5, np.nan, ship)
    dataset, _ = done(lambda root: masks_of(root, [missing], "float32"), tmp_path / "nan")
    assert (dataset.read_mask("a")[:, :5] == 255).all()
    for name, bands in {"two": [ship, 1 - ship], "five": [ship] * 5}.items():
        with pytest.raises(SourceError, match=r"not a mask of class ids|a mask of class ids has one"):
            done(lambda root, b=bands: masks_of(root, b), tmp_path / name)


def ground(root: Path, crs: str | None = "EPSG:32632", said: str | None = "EPSG:32632", lines: bool = False) -> None:
    import rasterio
    from rasterio.transform import Affine

    root.joinpath("images").mkdir(parents=True)
    place = Affine(0.4, 0.3, 500000, 0.3, -0.4, 5600000)  # turned
    profile = {"driver": "GTiff", "height": H, "width": W, "count": 3, "dtype": "uint8"}
    with rasterio.open(root / "images" / "a.tif", "w", crs=crs, transform=place, **profile) as file:
        file.write(np.random.default_rng(0).integers(1, 255, (3, H, W)).astype(np.uint8))
    a, b, c, d, e, f = place[:6]
    ring = [(a * x + b * y + c, d * x + e * y + f) for x, y in zip(RING[::2], RING[1::2], strict=True)]
    shapes: list[dict[str, Any] | None] = [{"type": "Polygon", "coordinates": [[*ring, ring[0]]]}]
    shapes += [{"type": "LineString", "coordinates": ring[:2]}, None] if lines else []
    features = [{"type": "Feature", "properties": {"class": "ship"}, "geometry": shape} for shape in shapes]
    named = {"crs": {"type": "name", "properties": {"name": said}}} if said else {}
    text(root / "outlines.geojson", json.dumps({"type": "FeatureCollection", **named, "features": features}))


def test_outlines_over_turned_images_and_what_of_them_has_no_area(tmp_path: Path) -> None:
    dataset, summary = done(lambda root: ground(root, lines=True), tmp_path / "a")
    assert objects(dataset) == [SHIP]
    assert summary.left_out == {"features without an area (points, lines, none)": 2}
    dataset, summary = done(lambda root: ground(root, said=None), tmp_path / "b")
    assert objects(dataset) == [SHIP]
    assert "coordinate system" in next(iter(summary.remarks))
    with pytest.raises(InputError, match="no image says where it lies"):
        done(lambda root: ground(root, crs=None), tmp_path / "c")


@pytest.mark.parametrize(("suffix", "driver"), [(".gpkg", "GPKG"), (".shp", "ESRI Shapefile"), (".fgb", "FlatGeobuf")])
def test_outlines_of_other_formats(suffix: str, driver: str, tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="GeoPackage, Shapefile and FlatGeobuf need the extra `geo`")

    def make(root: Path) -> None:
        ground(root)
        read = pyogrio.raw.read(root / "outlines.geojson")
        about, _, geometry, columns = read
        place = root / f"outlines{suffix}"
        options = {"crs": about["crs"], "geometry_type": "Polygon", "driver": driver}
        pyogrio.raw.write(place, geometry, columns, about["fields"], **options)
        (root / "outlines.geojson").unlink()

    dataset, summary = done(make, tmp_path)
    assert summary.kind == "vectors"
    assert objects(dataset) == [SHIP]


def test_an_image_that_only_names_others_is_not_followed(tmp_path: Path) -> None:
    ground(tmp_path / "in")
    other = (tmp_path / "in" / "images" / "a.tif").rename(tmp_path / "secret.tif")
    source = f'<SourceFilename relativeToVRT="0">{other}</SourceFilename>'
    bands = "".join(
        f'<VRTRasterBand band="{n}"><SimpleSource>{source}</SimpleSource></VRTRasterBand>' for n in (1, 2, 3)
    )
    text(tmp_path / "in" / "images" / "a.tif", f'<VRTDataset rasterXSize="{W}" rasterYSize="{H}">{bands}</VRTDataset>')
    with pytest.raises(InputError, match="no image says where it lies"):
        done(lambda root: None, tmp_path)
