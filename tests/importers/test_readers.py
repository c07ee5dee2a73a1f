"""Every format: recognised for what it is, and read to the pixel."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers.classes import read_map
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.importers.readers import READERS
from tests.importers import layouts
from tests.importers.choosing import chosen
from tests.importers.layouts import H, W

WHOLE = CropRules(side=0)


def prepared(tmp_path: Path, kind: str, **options: object) -> PreparedDataset:
    source = layouts.ALL[kind](tmp_path / "in")
    chosen = PrepareOptions(rules=WHOLE, keep_empty=1.0, workers=1, **options)  # type: ignore[arg-type]
    prepare(source, tmp_path / "out", chosen)
    return PreparedDataset(tmp_path / "out")


def columns(mask: np.ndarray) -> list[int]:
    """The values of vertical stripes, from left to right."""
    assert (mask == mask[:1]).all()
    return [int(mask[0, 0]), *(int(mask[0, at]) for at in np.flatnonzero(np.diff(mask[0].astype(int))) + 1)]


def names(dataset: PreparedDataset, stem: str) -> list[tuple[str, int]]:
    """Class and area of each object of an item."""
    record = next(one for one in dataset.samples() if one.stem == stem)
    return sorted((dataset.taxonomy[one.category].name, one.area) for one in record.instances)


def test_every_reader_has_an_imitation() -> None:
    assert set(layouts.ALL) == set(READERS)


@pytest.mark.parametrize("kind", sorted(layouts.ALL))
def test_auto_tells_the_kind_and_says_why(kind: str, tmp_path: Path) -> None:
    reader, why = chosen(layouts.ALL[kind](tmp_path))
    assert reader.kind == kind
    assert why.startswith(f"{kind}: ")
    assert len(why) > len(kind) + 5


def test_openearthmap(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "openearthmap")
    assert columns(dataset.read_mask("OEMxBD_aachen_1")) == [255, 1, 4, 8]
    assert {stem: item.split for stem, item in dataset.about.items.items()} == {
        "OEMxBD_aachen_1": None,
        "OEMxBD_aachen_2": "val",
    }
    left_out = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]["left_out"]
    assert left_out == {"image missing (OpenEarthMap leaves out those of xBD)": 1}


def test_loveda_no_data_is_ignored_and_background_is_none(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "loveda")
    assert columns(dataset.read_mask("LD_3")) == [255, 0, 8, 7]
    assert dataset.about.items["LD_3"].split == "train"
    assert dataset.about.items["LD_3"].metres_per_pixel == 0.3


def test_deepglobe_colours_and_roads(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "deepglobe")
    assert columns(dataset.read_mask("DG_11")) == [11, 10, 255, 67]
    assert columns(dataset.read_mask("DG_12")) == [10, 255], "a black and white mask of land cover is no road"
    assert columns(dataset.read_mask("DG_13")) == [0, 4]
    assert (dataset.read_mask("DG_13") == 4).sum() == 32 * 32, "grey 128 is road, grey 120 is not"


def test_samrs_reads_ids_and_pickled_instances(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "samrs")
    stem = "SOTA_P1__1024__0___0"
    mask = dataset.read_mask(stem)
    assert (mask[8:20, 10:30] == 25).all()
    assert (mask[40:60, 50:90] == 16).all()
    assert (mask == 255).sum() == H * W - 240 - 800
    assert names(dataset, stem) == [("plane", 800), ("storage tank", 240)]
    assert dataset.about.items[stem].group == "SOTA_P1"


def test_coco_polygons_run_lengths_crowds_and_boxes(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "coco")
    assert names(dataset, "a") == [("plane", 256), ("plane", 600), ("storage tank", 48), ("storage tank", 400)]
    record = next(dataset.samples())
    assert [one.flags for one in record.instances if one.area == 256] == [("crowd",)]
    assert not dataset.instances(record)[:, :4].any(), "a crowd is no instance"
    assert (dataset.mask(record)[:, :4] == IGNORE).all(), "nobody says which of its pixels are plane"
    assert (dataset.mask(record)[10:30, 20:40] == 25).all()


def test_lae_boxes_become_rectangles(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "lae")
    assert names(dataset, "LAE_b") == [("storage tank", 320)]
    assert names(dataset, "LAE_c") == [("ship", 200)]


def test_lae_takes_a_segmenters_masks(tmp_path: Path) -> None:
    disc = [[20.0, 12.0, 30.0, 20.0, 20.0, 28.0, 10.0, 20.0]]
    results = layouts.text(tmp_path / "sam.json", json.dumps([{"annotation_id": 77, "segmentation": disc}]))
    dataset = prepared(tmp_path, "lae", segments=results)
    [(name, area)] = names(dataset, "LAE_b")
    assert name == "storage tank"
    assert 140 < area < 180


def test_dota_keeps_corners_headers_and_difficulty(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "dota")
    record = next(dataset.samples())
    [tank, plane] = sorted(record.instances, key=lambda one: -one.category)
    assert (tank.area, tank.box, tank.flags) == (400, (20, 10, 20, 20), ())
    assert plane.flags == ("difficult",)
    assert 400 < plane.area < 500, "a diamond, not its upright box of 900"
    assert dataset.about.items["DOTA_P0001"].metres_per_pixel == 0.5
    assert dataset.about.items["DOTA_P0001"].split == "train"


def test_dior_oriented_corners(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "dior")
    assert names(dataset, "DIOR_00001") == [("expressway service area", 400)]
    assert dataset.about.items["DIOR_00001"].split == "val"


def test_voc_counts_from_one(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "voc")
    [ship] = next(dataset.samples()).instances
    assert (ship.box, ship.area, ship.flags) == ((20, 10, 20, 20), 400, ("difficult",))


def test_isaid_tells_touching_objects_apart(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "isaid")
    assert names(dataset, "iSAID_P5") == [("storage tank", 400), ("storage tank", 400)]


def test_yolo_boxes_and_polygons(tmp_path: Path) -> None:
    mapping = layouts.text(tmp_path / "map.yaml", "no-such-thing: storage tank\n")
    dataset = prepared(tmp_path, "yolo", map=mapping)
    assert names(dataset, "box") == [("storage tank", 400)]
    assert names(dataset, "polygon") == [("ship", 400)]
    assert names(dataset, "empty") == [], "an image without a label file is a negative"
    assert dataset.splits == ["val"]


def test_plain_masks_with_a_class_table(tmp_path: Path) -> None:
    assert columns(prepared(tmp_path, "masks").read_mask("m")) == [0, 4, 8]


def test_colour_masks_by_a_map_alone(tmp_path: Path) -> None:
    layouts.put(tmp_path / "in" / "masks" / "m.png", layouts.stripes([(1, 2, 3), (200, 0, 0), (0, 0, 0)]))
    layouts.image(tmp_path / "in" / "images" / "m.jpg")
    mapping = layouts.text(tmp_path / "map.yaml", '"#010203": road\n"#C80000": {id: 100, name: solar panel}\n')
    prepare(tmp_path / "in", tmp_path / "out", PrepareOptions("masks", WHOLE, map=mapping, workers=1))
    dataset = PreparedDataset(tmp_path / "out")
    assert columns(dataset.read_mask("m")) == [4, 100, 0]
    assert dataset.taxonomy[100].name == "solar panel"


def test_earthsynth_files_are_taken_over_and_augmented(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "earthsynth-180k")
    out = tmp_path / "out"
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert lines == [
        {
            "file_name": "images/SIOR_07349_0.png",
            "mask_name": "masks/SIOR_07349_0.png",
            "text": "A satellite image of road, storage tank",
            "category_masks": ["category_masks/SIOR_07349_0_road.png", "category_masks/SIOR_07349_0_storage_tank.png"],
        },
        *(
            {
                "file_name": f"category_images/SIOR_07349_0_{name.replace(' ', '_')}.png",
                "mask_name": f"category_masks/SIOR_07349_0_{name.replace(' ', '_')}.png",
                "text": f"A satellite image of {name}",
            }
            for name in ("road", "storage tank")
        ),
    ]
    linked = out / "category_images" / "SIOR_07349_0_road.png"
    assert linked.stat().st_ino == (out / "images" / "SIOR_07349_0.png").stat().st_ino
    assert (out / "images" / "SIOR_07349_0.png").read_bytes() == (
        tmp_path / "in" / "train" / "images" / "SIOR_07349_0.png"
    ).read_bytes()
    assert dataset.about.items["SIOR_07349_0"].group == "SIOR_07349"


def test_dubai_tiles_are_groups_and_one_is_held_out(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "dubai")
    assert columns(dataset.read_mask("tile1_part_001")) == [8, 4, 255]
    assert {item.group: item.split for item in dataset.about.items.values()} == {"Tile 1": "train", "Tile 2": "test"}


def test_gid_label_zero_is_a_class(tmp_path: Path) -> None:
    assert columns(prepared(tmp_path, "gid").read_mask("water_1")) == [11, 7, 9, 2, 6, 255]


def test_kit_boxes_become_ellipses_and_cyclists_are_counted(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "kit_ais")
    assert [name for name, _ in names(dataset, "mos1")] == ["large vehicle", "small vehicle"]
    assert all(0.85 * full < area < full for (_, area), full in zip(names(dataset, "mos1"), (300, 400), strict=True))
    left_out = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]["left_out"]
    assert left_out == {"background: left out by the map": 1}


def test_nwpu_leaves_infrared_out_and_measures_by_courts(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "nwpu")
    assert list(dataset.about.items) == ["nwpu_001"]
    assert [name for name, _ in names(dataset, "nwpu_001")] == ["small vehicle", "tennis court"]
    assert dataset.about.items["nwpu_001"].metres_per_pixel == pytest.approx(24 / 48, abs=0.02)


@pytest.mark.parametrize("kind", ["odvg", "label-studio", "labelme", "via", "xview", "coco-panoptic", "cvat"])
def test_the_one_ship_of_every_tools_form(kind: str, tmp_path: Path) -> None:
    dataset = prepared(tmp_path, kind)
    found = [one for record in dataset.samples() for one in record.instances]
    assert [(dataset.taxonomy[one.category].name, one.box, one.area) for one in found] == [
        ("ship", (20, 10, 20, 20), 400)
    ]


def test_panoptic_void_is_ignored_and_land_cover_painted(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "coco-panoptic")
    mask = dataset.read_mask("a")
    assert (mask[40:] == 6).all()
    assert (mask[:10] == 255).all()
    assert dataset.about.items["a"].split == "train"


def test_what_has_no_area_and_what_nobody_answered_is_counted(tmp_path: Path) -> None:
    for kind, reason in {
        "cvat": "points or lines, which have no area",
        "labelme": "points or lines, which have no area",
        "label-studio": "task without an answer or an image",
        "xview": "Tower: no category for it",
        "visdrone": "pedestrian: no category for it",
    }.items():
        prepared(tmp_path / kind, kind)
        counts = json.loads((tmp_path / kind / "out" / "dataset.json").read_text())["counts"]
        assert counts["left_out"][reason] == 1, kind


def test_outlines_on_the_ground_become_pixels(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "vectors")
    assert names(dataset, "img1") == [("building", 400)]
    assert dataset.about.items["img1"].metres_per_pixel == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("kind", "stem", "object_", "scale", "split"),
    [
        ("fair1m", "FAIR1M_0", ("liquid cargo ship", 400), None, "train"),
        ("hrsc2016", "HRSC_100000001", ("ship", 400), 1.07, "test"),
        ("xbd", "xBD_santa-rosa_00000001_post_disaster", ("building", 400), 1.5, "train"),
        ("ucas-aod", "UCAS_PLANE_P0001", ("plane", 400), None, None),
        ("visdrone", "VisDrone_0000001_02999_d_0000005", ("small vehicle", 400), None, "val"),
    ],
)
def test_the_one_object_of_published_sets(
    kind: str, stem: str, object_: tuple[str, int], scale: float | None, split: str | None, tmp_path: Path
) -> None:
    dataset = prepared(tmp_path, kind)
    assert names(dataset, stem) == [object_]
    item = dataset.about.items[stem]
    assert (item.metres_per_pixel, item.split) == (scale, split)


def test_ignored_regions_and_negatives(tmp_path: Path) -> None:
    assert (prepared(tmp_path / "a", "visdrone").read_mask("VisDrone_0000001_02999_d_0000005")[50:] == 255).all()
    assert names(prepared(tmp_path / "b", "ucas-aod"), "UCAS_Neg_P0001") == []
    assert columns(prepared(tmp_path / "c", "landdiscover50k").read_mask("x")) == [0, 8, 4, 255]


@pytest.mark.parametrize(
    ("kind", "name", "right", "wrong"),
    [
        ("xbd", "train/labels/santa-rosa_00000001_post_disaster.json", '"xy": [', '"xy": 3, "lng_lat": ['),
        (
            "xbd",
            "train/labels/santa-rosa_00000001_post_disaster.json",
            '"properties": {',
            '"properties": null, "more": {',
        ),
        (
            "xbd",
            "train/labels/santa-rosa_00000001_post_disaster.json",
            '"properties": {',
            '"properties": "none", "more": {',
        ),
        ("xbd", "train/labels/santa-rosa_00000001_post_disaster.json", '"xy": [', '"xy": [7, '),
        ("odvg", "annotations/train_od.json", '"bbox": [', '"bbox": [1, 2, 3], "more": ['),
    ],
)
def test_values_of_another_type_are_faults(kind: str, name: str, right: str, wrong: str, tmp_path: Path) -> None:
    source = layouts.ALL[kind](tmp_path / "in")
    file = source / name
    given = file.read_text()
    assert right in given
    file.write_text(given.replace(right, wrong, 1))
    with contextlib.suppress(SourceError):  # if nothing else is left
        prepare(source, tmp_path / "out", PrepareOptions(kind, WHOLE, workers=1))
    assert file.name in (tmp_path / "out" / "problems.txt").read_text()


def test_damage_is_a_class_if_the_map_names_it(tmp_path: Path) -> None:
    mapping = layouts.text(tmp_path / "map.yaml", "building destroyed: {id: 100, name: rubble}\n")
    assert names(prepared(tmp_path, "xbd", map=mapping), "xBD_santa-rosa_00000001_post_disaster") == [("rubble", 400)]


def test_unknown_classes_are_listed_and_none_is_guessed(tmp_path: Path) -> None:
    source = layouts.yolo(tmp_path / "in")
    layouts.text(source / "data.yaml", "names: [shipp, solar panel, never]\n")
    with pytest.raises(InputError) as caught:
        prepare(source, tmp_path / "out", PrepareOptions(workers=1))
    message = str(caught.value)
    assert "2 of its 3 classes are unknown" in message
    assert "  shipp: {id: 100}   # 1 objects\n  solar panel: {id: 101}   # 1 objects\n" in message
    assert "never" not in message, "what nothing uses needs no map"
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".lock"}, "nothing is written before that is clear"


def test_two_datasets_in_one_folder_ask_for_the_kind_and_show_what_each_reads(tmp_path: Path) -> None:
    layouts.loveda(tmp_path)
    layouts.fair1m(tmp_path)
    with pytest.raises(
        InputError, match=r"(?s)several kinds; say which with --kind.*1 images; classes: .*1 images, 1 objects"
    ):
        chosen(tmp_path)


def test_the_kind_that_a_dataset_would_also_pass_for_is_said(tmp_path: Path) -> None:
    layouts.loveda(tmp_path)
    layouts.dota(tmp_path)
    reader, why = chosen(tmp_path)
    assert reader.kind == "loveda"
    assert "it would also pass for dota: " in why


def test_weak_evidence_asks(tmp_path: Path) -> None:
    source = layouts.masks(tmp_path / "in")
    (source / "classes.json").unlink()
    with pytest.raises(InputError, match="looks like masks, but that is not sure"):
        chosen(source)


def test_a_folder_of_no_kind_says_what_is_known(tmp_path: Path) -> None:
    layouts.image(tmp_path / "a.png")
    with pytest.raises(InputError, match="of no kind that is known"):
        chosen(tmp_path)
    with pytest.raises(InputError, match="--kind kitti: not a known kind"):
        chosen(tmp_path, "kitti")


@pytest.mark.parametrize("kind", sorted(set(layouts.ALL) - {"yolo", "masks"}))
def test_a_folder_without_that_kinds_files_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match=r"/in"):
        prepare(tmp_path / "in", tmp_path / "out", PrepareOptions(kind, workers=1))


def test_the_width_of_an_imitation_is_not_its_height() -> None:
    assert H != W


def test_boxes_agree_with_an_independent_reader(tmp_path: Path) -> None:
    import supervision as sv

    source = layouts.yolo(tmp_path / "in")
    layouts.text(source / "data.yaml", "names: [ship, plane]\n")
    theirs = sv.DetectionDataset.from_yolo(
        str(source / "images" / "val"), str(source / "labels" / "val"), str(source / "data.yaml")
    )
    prepare(source, tmp_path / "out", PrepareOptions(rules=WHOLE, keep_empty=1.0, workers=1))
    ours = {record.stem: record for record in PreparedDataset(tmp_path / "out").samples()}
    for path, _, found in theirs:
        [*boxes] = sorted((x, y, x + w, y + h) for x, y, w, h in (one.box for one in ours[Path(path).stem].instances))
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), np.sort(found.xyxy, axis=0).reshape(-1, 4), atol=1)
    assert len(ours) == len(theirs) == 3


def test_voc_boxes_agree_with_an_independent_reader(tmp_path: Path) -> None:
    import supervision as sv

    source = layouts.voc(tmp_path / "in") / "VOC2012"
    theirs = sv.DetectionDataset.from_pascal_voc(str(source / "JPEGImages"), str(source / "Annotations"))
    prepare(tmp_path / "in", tmp_path / "out", PrepareOptions(rules=WHOLE, workers=1))
    [(_, _, found)] = list(theirs)
    [ship] = next(PreparedDataset(tmp_path / "out").samples()).instances
    x, y, width, height = ship.box
    np.testing.assert_allclose(found.xyxy, [[x, y, x + width, y + height]], atol=1)


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_bilevel_masks_mean_what_is_white(white_is_zero: bool, tmp_path: Path) -> None:
    import PIL.Image

    drawn = layouts.stripes([0, 255, 0]) > 0
    (tmp_path / "in" / "label").mkdir(parents=True)
    file = tmp_path / "in" / "label" / "1.tif"
    PIL.Image.fromarray(drawn).save(file, tiffinfo={262: 0 if white_is_zero else 1})
    assert PIL.Image.open(file).tag_v2[262] == (0 if white_is_zero else 1)
    layouts.image(tmp_path / "in" / "image" / "1.tif")
    mapping = layouts.text(tmp_path / "map.yaml", "1: building\n")
    prepare(tmp_path / "in", tmp_path / "out", PrepareOptions("masks", WHOLE, map=mapping, workers=1))
    dataset = PreparedDataset(tmp_path / "out")
    np.testing.assert_array_equal(dataset.read_mask("1") == 8, np.asarray(PIL.Image.open(file)))


def test_coco_splits_with_images_of_equal_names(tmp_path: Path) -> None:
    """The commonest layout of all: `train/a.png` beside `val/a.png`."""
    for number, split in enumerate(("train", "val")):
        layouts.image(tmp_path / "in" / f"{split}2017" / "a.png", number)
        document = json.dumps(layouts.coco_document())
        layouts.text(tmp_path / "in" / "annotations" / f"instances_{split}2017.json", document)
    prepare(tmp_path / "in", tmp_path / "out", PrepareOptions("coco", WHOLE, workers=1))
    dataset = PreparedDataset(tmp_path / "out")
    assert {(record.stem, record.split) for record in dataset.samples()} == {("a", "train"), ("a-2", "val")}
    for record, split in zip(dataset.samples(), ("train2017", "val2017"), strict=True):
        assert dataset.image_file(record).read_bytes() == (tmp_path / "in" / split / "a.png").read_bytes()


def test_a_map_stands_above_what_a_reader_takes_words_for(tmp_path: Path) -> None:
    mapping = layouts.text(tmp_path / "map.yaml", "car: {id: 100, name: my car}\nvehicle: plane\n")
    assert names(prepared(tmp_path / "a", "kit_ais", map=mapping), "mos1")[-1][0] == "my car"
    assert names(prepared(tmp_path / "b", "nwpu", map=mapping), "nwpu_001")[0][0] == "plane"


def test_ids_of_a_maps_own_categories_are_known_in_earthsynths_masks(tmp_path: Path) -> None:
    source = layouts.earthsynth(tmp_path / "in")
    layouts.put(source / "train" / "masks" / "DG_5_1.png", np.full((H, W), 90, np.uint8))
    mapping = layouts.text(tmp_path / "map.yaml", "solar farm: {id: 90}\n")
    prepare(source, tmp_path / "out", PrepareOptions(map=mapping, keep_empty=1.0, workers=1))
    assert columns(PreparedDataset(tmp_path / "out").read_mask("DG_5_1")) == [90]


def test_the_map_that_is_proposed_is_yaml_with_an_id_for_each(tmp_path: Path) -> None:
    words = {"xyzzy: no #1": 1, "12": 1, "null": None, "qqqq": 2}
    with pytest.raises(InputError) as refused:
        read_map(None).check(words, tmp_path)
    _, *lines, _ = str(refused.value).splitlines()
    assert set(YAML(typ="safe").load("\n".join(lines))) == set(words)
    assert [re.findall(r"id: (\d+)", line) for line in lines] == [["100"], ["101"], ["102"], ["103"]]


def test_odvgs_captions_are_one_problem(tmp_path: Path) -> None:
    source = layouts.lae(tmp_path / "in")
    line = json.dumps({"filename": "c.png", "height": H, "width": W, "grounding": {"caption": "a", "regions": []}})
    layouts.text(source / "LAE-COD" / "AID" / "aid_vg.jsonl", f"{line}\n{line}\n")
    prepare(source, tmp_path / "out", PrepareOptions("lae", WHOLE, workers=1))
    remarks = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]["remarks"]
    assert remarks == {"aid_vg.jsonl: captions with phrases, no boxes with classes; passed over": 1}
