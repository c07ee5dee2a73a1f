"""The collection of failing inputs, each held to what its `expected.md` says. Opt-in: skipped where it is not at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.importers.case_runs import Run, cases_root, run_case

ROOT = cases_root()
Check = Callable[[Run], None]

A = [("plane", [55, 40, 25, 30]), ("ship", [10, 12, 30, 20])]
B = [("ship", [5, 5, 40, 16])]
C: list[tuple[str, list[int]]] = []
BUILDING, ROAD, WATER = 8, 4, 6
BENCHMARKS = ["inria", "massachusetts", "flair", "gid15", "vaihingen", "potsdam", "xbd-targets", "solar-plants"]


def boxes(run: Run, out: str = "prep", tolerance: float = 0.1, **truth: list[tuple[str, list[int]]]) -> None:
    """Exactly these items (keys: how their stems end or begin) with exactly these objects."""
    assert set(run.codes[:1]) == {0}, run.text
    found = run.objects(out)
    assert len(found) == len(truth), (sorted(found), run.text)
    for key, objects in truth.items():
        [stem] = [s for s in found if s == key or s.endswith((f"-{key}", f"_{key}")) or s.startswith(f"{key}_jpg")]
        assert [name for name, _ in found[stem]] == [name for name, _ in objects], (stem, found[stem])
        for (_, box), (_, wanted) in zip(found[stem], objects, strict=True):
            np.testing.assert_allclose(box, wanted, atol=tolerance)


truth = partial(boxes, a=A, b=B, c=C)


def masks(run: Run, out: str = "prep", stems: tuple[str, str] = ("a", "b"), margin: int = 0) -> None:
    """Building, road and water at their places in both pictures, nothing around them."""
    assert run.codes[0] == 0, run.text
    for stem in stems:
        wanted = np.zeros((80, 96), np.uint8)
        wanted[10:40, 10:50], wanted[45:52], wanted[55:80, 60:96] = BUILDING, ROAD, WATER
        sure = np.ones_like(wanted, bool)
        if margin:
            edges = cv2.morphologyEx(wanted, cv2.MORPH_GRADIENT, np.ones((2 * margin + 1,) * 2, np.uint8))
            sure = edges == 0
        found = run.mask(stem, out)
        np.testing.assert_array_equal(found[sure], wanted[sure])


def refused(run: Run, *words: str) -> None:
    assert run.codes[0] == 2, run.text
    for word in words:
        assert word.lower() in run.text.lower(), run.text


def either(*checks: Check) -> Check:
    """One of several outcomes that are all right."""

    def check(run: Run) -> None:
        faults = []
        for one in checks:
            try:
                one(run)
                return
            except (AssertionError, OSError) as fault:
                faults.append(str(fault))
        raise AssertionError("\n--- nor ---\n".join(faults))

    return check


def works(run: Run) -> None:
    assert set(run.codes) == {0}, run.text


def dota_as_given(run: Run) -> None:
    works(run)
    [given] = (run.folder / "in").rglob("labelTxt/*.txt")
    [written] = (run.folder / "exp" / "dota").rglob("labelTxt/*.txt")
    rows = [
        sorted(
            [float(word) for word in line.split()[:8]]
            for line in file.read_text().splitlines()
            if len(line.split()) > 8
        )
        for file in (given, written)
    ]
    np.testing.assert_allclose(rows[1], rows[0], atol=0.01)


def yolo_as_given(run: Run) -> None:
    works(run)
    document = json.loads((run.folder / "in" / "ann.json").read_text())
    [image] = document["images"]
    wanted = sorted(one["bbox"] for one in document["annotations"])
    [file] = (run.folder / "exp" / "yolo-detect" / "labels").rglob("*.txt")
    rows = np.array([[float(word) for word in line.split()[1:]] for line in file.read_text().splitlines()])
    rows = rows * np.tile([image["width"], image["height"]], 2)
    rows[:, :2] -= rows[:, 2:] / 2
    np.testing.assert_allclose(sorted(rows.tolist()), wanted, atol=0.002)


def same_masks_each_trip(run: Run) -> None:
    works(run)
    from pycocotools.coco import COCO

    seen = []
    for trip in ("e0", "e1", "e2", "e3"):
        [file] = (run.folder / trip / "coco" / "annotations").glob("*.json")
        coco = COCO(str(file))
        seen.append(sorted(coco.annToMask(one).tobytes() for one in coco.anns.values()))
    assert seen[0] == seen[1] == seen[2] == seen[3]


def split_like(run: Run, **wanted: str | None) -> None:
    works(run)
    assert {stem: item["split"] or "train" for stem, item in run.items().items()} == wanted


def four_ships(run: Run) -> None:
    ship = [("ship", [10, 12, 30, 20])]
    boxes(run, **{"368": ship, "400": ship, "401": ship, "500": ship})
    assert {stem: item["split"] for stem, item in run.items().items()}["500"] == "val"
    assert run.document()["licence"] == "unknown"


def unknown_licence(run: Run) -> None:
    works(run)
    assert run.document()["licence"] == "unknown"
    assert not any(stem.startswith("DOTA") for stem in run.items())


def upright(run: Run) -> None:
    boxes(run, a=[("ship", [10, 12, 30, 20])]) if "a" in run.items() else boxes(run, a_0=[("ship", [10, 12, 30, 20])])


def groups(run: Run, count: int, out: str = "prep") -> None:
    works(run)
    assert len({item["group"] for item in run.items(out).values()}) == count


def left_out_and_named(run: Run, *words: str) -> None:
    """Nothing wrong is kept: refused, or the images in question are gone and named."""
    if run.codes[0] == 2:
        refused(run, *words)
        return
    assert run.codes[0] == 0, run.text
    assert len(run.items()) < 3
    assert all(word in run.problems() for word in words)


def no_guesses(run: Run) -> None:
    """Every line that is offered is a category of one's own; what the map then says is taken."""
    assert run.codes == [2, 0]
    offered = [line.split("#")[0].strip() for line in run.texts[0].splitlines() if line.startswith("  ")]
    assert offered[-1].startswith("(or a category's name")
    assert len(offered) == 12
    assert all(re.fullmatch(r"\w+: \{id: 1\d\d\}", line) for line in offered[:-1]), offered


def box_with_a_note(run: Run) -> None:
    truth(run)
    assert "outlines without an area, the box taken for them (3×)" in run.texts[0]


def with_a_triangle(run: Run) -> None:
    """The corners as they were drawn; their lowest holds no pixel's centre, so that the mask's box ends a pixel before."""
    boxes(run, a=A, b=B, c=[("plane", [20, 10, 60, 59])])
    [drawn] = [one["given"]["polygons"] for one in run.instances() if "polygons" in one["given"]]
    assert drawn == [[20, 10, 80, 20, 40, 70]]
    [area] = [one["area"] for one in run.instances() if "polygons" in one["given"]]
    assert abs(area - 1700) <= 17


def triangles(run: Run) -> None:
    works(run)
    areas = {box["area"] / (box["box"][2] * box["box"][3]) for box in run.instances()}
    assert all(0.4 < share < 0.6 for share in areas), areas


def deep_yolo(run: Run) -> None:
    boxes(run, a=A, b=B, c=C, z=[("ship", [10, 10, 20, 20])])


def stretched(run: Run) -> None:
    works(run)
    for image in (run.folder / "prep" / "images").iterdir():
        assert cv2.imread(str(image), cv2.IMREAD_UNCHANGED).dtype == np.uint8


def three(run: Run) -> None:
    works(run)
    assert len(run.items()) == 3


def no_crowd(run: Run) -> None:
    truth(run)
    assert not any("crowd" in one["flags"] for one in run.instances())


def pixels(run: Run, out: str) -> dict[str, int]:
    return run.document(out)["counts"]["pixels"]


def zip_like_folder(run: Run) -> None:
    works(run)
    assert pixels(run, "out/p") == pixels(run, "out/dir")


def chips(run: Run) -> None:
    works(run)
    for out in ("out/p", "out/k"):
        found = pixels(run, out)
        assert "urban land" not in found
        assert round(found["road"] / sum(found.values()), 3) == 0.160


def keeps_large_objects(run: Run) -> None:
    works(run)
    for source, out in (("real", "r"), ("airport", "a")):
        said = run.python("truth.py", f"input/{source}", f"out/{out}")
        assert "lost to background 0 " in said, said


def ten_images(run: Run) -> None:
    works(run)
    items = run.items("out/p")
    splits = [item["split"] for item in items.values()]
    assert (len(items), splits.count("train"), splits.count("val")) == (10, 6, 4)
    assert len(run.instances("out/p")) == 88
    assert "twice" in run.text or "listed" in run.text


def scale(run: Run, **wanted: float) -> None:
    for out, metres in wanted.items():
        found = {item["metres_per_pixel"] for item in run.items(f"out/{out}").values()}
        assert all(one is not None and abs(one - metres) < 0.004 for one in found), found


def nodata_ignored(run: Run) -> None:
    works(run)
    said = run.python("truth.py")
    assert "{255: 102400}" in said, said
    assert "[255]" not in said.split("true background as")[1], said


def ignored_half(run: Run) -> None:
    works(run)
    said = run.python("truth.py")
    assert "255" in said, said


def dota_downloaded(run: Run) -> None:
    for code, text in zip(run.codes, run.texts, strict=True):
        assert code == 0 or (code == 2 and "v2.0" in text and "v1.5" in text), text
    assert run.codes[0] == 0, "the newest, and said"


def isaid(run: Run) -> None:
    works(run)
    assert len(run.instances("out/d")) >= 21


def all_of_nwpu(run: Run) -> None:
    works(run)
    for out in ("out/p", "out/k"):
        assert len({item["group"] for item in run.items(out).values()}) >= 6


def colours_in_order(run: Run) -> None:
    import rasterio

    works(run)
    for source, out in (("bgrn", "b"), ("nir-first", "n")):
        with rasterio.open(run.folder / "input" / source / "images" / "a.tif") as file:
            names = [one.name for one in file.colorinterp]
            wanted = np.stack([file.read(names.index(name) + 1) for name in ("red", "green", "blue")], axis=2)
        [image] = (run.folder / "out" / out / "images").iterdir()
        np.testing.assert_array_equal(cv2.imread(str(image))[..., ::-1], wanted)


def two_areas(run: Run) -> None:
    works(run)
    assert sorted(one["area"] for one in run.instances("out/p")) == [400, 800, 2500]


def solaris(run: Run) -> None:
    works(run)
    areas = [one["area"] for one in run.instances("out/p")]
    assert len(areas) == 3
    assert abs(sum(areas) - 1300) < 60


def spacenet(run: Run) -> None:
    works(run)
    for out in ("out/p", "out/g"):
        found = pixels(run, out)
        assert 0.03 < found["building"] / sum(found.values()) < 0.06


def fair1m(run: Run) -> None:
    assert run.codes[0] == 0, run.text
    assert len(run.instances("out/p")) == 4


def hrsc(run: Run) -> None:
    works(run)
    scale(run, p=1.07)
    assert (
        "ship" in run.document("out/p")["counts"]["objects"] or "warship" in run.document("out/p")["counts"]["objects"]
    )


def xbd(run: Run) -> None:
    works(run)
    scale(run, b=1.95)
    assert run.document("out/b")["counts"]["objects"]["building"] == 1
    assert run.instances("out/v")


def a_group_each(run: Run) -> None:
    groups(run, len(run.items("out/p")), "out/p")
    assert "groups in several splits: 0" in run.text


def no_splits(run: Run) -> None:
    works(run)
    assert {item["split"] for item in run.items("out/p").values()} <= {None, "train"}


def georeferenced(run: Run) -> None:
    works(run)
    item = next(iter(run.items("out/p").values()))
    assert "25832" in json.dumps(item), item
    exported = next(iter(run.items("out/e/prepared").values()))
    assert "25832" in json.dumps(exported), exported


def gsnet(run: Run) -> None:
    assert run.codes[0] == 0, run.texts[0]
    assert run.document("out/p")["counts"]["pixels"]["building"]


def keep_empty_named(run: Run) -> None:
    refused(run, "--keep-empty")
    assert "problems.txt" not in run.text


def masks_of_building(run: Run) -> None:
    works(run)
    for stem in ("a", "b"):
        assert (run.mask(stem)[10:40, 10:50] == BUILDING).all()


def usual_benchmarks(run: Run) -> None:
    """All pair. Three have colours, which this map does not name; one is of single pixels without a class."""
    for folder, code, text in zip(BENCHMARKS, run.codes, run.texts, strict=True):
        if folder in ("massachusetts", "vaihingen", "potsdam"):
            assert code == 2
            assert "a colour picture, not a mask of class ids" in run.problems(f"out/{folder}"), text
        elif folder == "gid15":
            assert "4 images read, all without any class" in text, text
        else:
            assert code == 0, text


def chips_of_its_own(run: Run) -> None:
    works(run)
    for stem in ("a", "b", "c"):
        given = cv2.imread(str(run.folder / "in" / "labels" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(run.mask(stem), np.array([0, BUILDING, ROAD, WATER], np.uint8)[given])


def no_split_of_names(run: Run) -> None:
    works(run)
    assert len({item["split"] for item in run.items().values()}) == 1


def boxes_of_roboflow(run: Run) -> None:
    works(run)
    assert sorted(len(found) for found in run.objects().values()) == [0, 1, 2]


def found_by_name(run: Run) -> None:
    works(run)
    assert sorted(found for objects in run.objects().values() for found in objects) == sorted(
        (name, [float(n) for n in box]) for name, box in [*A, *B]
    )


EXPECTED: dict[str, Check] = {
    "formats/01": truth,
    "formats/02": dota_as_given,
    "formats/03": yolo_as_given,
    "formats/04": same_masks_each_trip,
    "formats/05": either(lambda run: refused(run, "255"), masks_of_building),
    "formats/06": lambda run: refused(run, "JPEG"),
    "formats/07": chips_of_its_own,
    "formats/08": four_ships,
    "formats/09": unknown_licence,
    "formats/10": upright,
    "formats/11": either(lambda run: refused(run, "a_old.yaml", "data.yaml"), truth),
    "formats/12": either(truth, lambda run: refused(run, "kpt_shape")),
    "formats/14": truth,
    "formats/15": truth,
    "formats/16": lambda run: left_out_and_named(run, "id"),
    "formats/17": no_split_of_names,
    "formats/18": lambda run: split_like(run, a="train", b="train", c="train"),
    "formats/19": deep_yolo,
    "formats/20": truth,
    "formats/21": lambda run: split_like(run, a="train", b="val"),
    "formats/22": lambda run: left_out_and_named(run, "192", "96"),
    "formats/23": triangles,
    "formats/24": lambda run: groups(run, 6),
    "formats/25": no_guesses,
    **{f"formats/{number}": truth for number in range(26, 39)},
    "formats/28": box_with_a_note,
    "formats/39": lambda run: left_out_and_named(run, "xml"),
    "formats/40": truth,
    "formats/41": truth,
    "formats/42": truth,
    "formats/43": either(truth, lambda run: refused(run, "link")),
    **{f"formats/{number}": truth for number in range(47, 53)},
    "formats/53": masks,
    "formats/54": masks,
    "formats/55": masks,
    "formats/56": lambda run: masks(run, stems=("img_1", "img_2")),
    "formats/57": masks,
    "formats/58": stretched,
    "formats/59": lambda run: masks(run, margin=2),
    "formats/60": masks,
    "formats/61": truth,
    "formats/62": truth,
    "formats/63": boxes_of_roboflow,
    "formats/64": truth,
    "formats/65": truth,
    "formats/66": found_by_name,
    "formats/67": found_by_name,
    "formats/68": truth,
    "formats/69": truth,
    "formats/70": truth,
    **{f"formats/{number}": with_a_triangle for number in range(71, 75)},
    "formats/75": lambda run: boxes(run, img1=[("building", [10, 12, 30, 20])]),
    "formats/76": truth,
    "formats/77": truth,
    "formats/78": three,
    "formats/79": no_crowd,
    "remote-sensing/01": zip_like_folder,
    "remote-sensing/02": chips,
    "remote-sensing/03": keeps_large_objects,
    "remote-sensing/04": ten_images,
    "remote-sensing/05": lambda run: scale(run, m=0.376, u=0.5),
    "remote-sensing/07": lambda run: scale(run, f=0.5, w=0.5),
    "remote-sensing/08": nodata_ignored,
    "remote-sensing/09": dota_downloaded,
    "remote-sensing/11": isaid,
    "remote-sensing/12": works,
    "remote-sensing/13": all_of_nwpu,
    "remote-sensing/14": works,
    "remote-sensing/15": colours_in_order,
    "remote-sensing/16": works,
    "remote-sensing/17": works,
    "remote-sensing/19": works,
    "remote-sensing/20": works,
    "remote-sensing/21": two_areas,
    "remote-sensing/22": solaris,
    "remote-sensing/24": spacenet,
    "remote-sensing/25": fair1m,
    "remote-sensing/26": hrsc,
    "remote-sensing/27": xbd,
    "remote-sensing/28": usual_benchmarks,
    "remote-sensing/29": a_group_each,
    "remote-sensing/30": no_splits,
    "remote-sensing/31": works,
    "remote-sensing/32": works,
    "remote-sensing/33": works,
    "remote-sensing/34": works,
    "remote-sensing/35": georeferenced,
    "remote-sensing/36": gsnet,
    "remote-sensing/37": works,
    "remote-sensing/38": works,
    "remote-sensing/39": keep_empty_named,
    "remote-sensing/40": works,
    "remote-sensing/41": ignored_half,
    "remote-sensing/42": works,
}


CASES = sorted(ROOT.glob("[fr]*s*/[0-9]*")) if ROOT else []
CASES = [case for case in CASES if f"{case.parent.name}/{case.name[:2]}" in EXPECTED]


@pytest.mark.slow
@pytest.mark.skipif(ROOT is None, reason="the collection of cases is not at hand (ESF_CASES)")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_case(case: Path, tmp_path: Path) -> None:
    run = run_case(case, tmp_path / "case")
    assert "TRACEBACK" not in run.text, run.text
    EXPECTED[f"{case.parent.name}/{case.name[:2]}"](run)
