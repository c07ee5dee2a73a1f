"""`filter` as a user meets it: recognition, resuming, deciding again without a model, hostile files, --apply."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.exports.write import export
from earthsynth_factory.filtering import measuring, scoring
from earthsynth_factory.filtering.run import FilterOptions, FilterSummary, run_filter
from earthsynth_factory.filtering.scoring import HowToScore
from earthsynth_factory.models import clip
from earthsynth_factory.recipe.load import export_blocks
from earthsynth_factory.recipe.thresholds import embedded_thresholds
from earthsynth_factory.rfilter.image_quality import ImageQualitySpec
from tests.cli.conftest import Run
from tests.making import make_condition, make_image, make_store

PIXELS = "rules: [image_quality, object_size]\nselect: []\n"


def _filter(path: Path, out: Path, config: str = PIXELS, **options: object) -> FilterSummary:
    file = out.parent / "filter.yaml"
    file.write_text(config)
    return run_filter(path, out, FilterOptions(config=file, device="cpu", **options))  # type: ignore[arg-type]


def _coco(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(4):
        pixels = make_image(number) if number else np.full((48, 48, 3), 90, np.uint8)
        cv2.imwrite(str(root / "images" / f"{number}.png"), pixels)
        images.append({"id": number, "file_name": f"{number}.png", "width": 48, "height": 48})
        annotations.append({"id": number + 1, "image_id": number, "category_id": 1, "bbox": [4, 4, 20, 20]})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}
    (root / "instances.json").write_text(json.dumps(document))
    return root


def test_coco_is_filtered_into_valid_coco_and_the_source_stays(tmp_path: Path) -> None:
    source = _coco(tmp_path / "coco")
    (source / "images" / "3.png").write_bytes(b"\x89PNG\r\n half")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    summary = _filter(source, tmp_path / "out", apply="copy")
    assert summary.recognised.startswith("coco: ")
    assert (summary.images, summary.kept, len(summary.faults)) == (4, 2, 1)
    assert "3.png" in summary.faults[0]
    assert before == {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    made = json.loads((tmp_path / "out/filtered/instances.json").read_bytes())
    assert [image["file_name"] for image in made["images"]] == ["1.png", "2.png"]
    assert [one["image_id"] for one in made["annotations"]] == [1, 2]
    assert sorted(path.name for path in (tmp_path / "out/filtered/images").iterdir()) == ["1.png", "2.png"]
    rows = list(csv.DictReader((tmp_path / "out/scores.csv").open()))
    assert [row["kept"] for row in rows] == ["0", "1", "1", "0"]
    assert rows[0]["reasons"].startswith("image_quality: flat")
    assert (tmp_path / "out/curves.png").is_file()


def test_a_build_is_filtered_into_a_build_with_its_exports(tmp_path: Path) -> None:
    source = make_store(tmp_path / "store")
    _filter(source, tmp_path / "first")
    rows = list(csv.DictReader((tmp_path / "first/scores.csv").open()))
    middle = sorted(float(row["image_quality.contrast"]) for row in rows)[3]
    config = f"rules: [image_quality]\nkeep: image_quality.contrast >= {middle}\nselect: []\n"
    summary = _filter(source, tmp_path / "out", config, apply="link")
    assert summary.kept == 3
    kept = (tmp_path / "out/keep.txt").read_text().split()
    store = open_dataset(tmp_path / "out/filtered")
    assert [record.stem for record in store.samples()] == kept
    assert all(store.image_file(record).is_file() for record in store.samples())
    assert (tmp_path / "out/filtered/exports/coco").is_dir()


def test_an_earthsynth_folder_leaves_nothing_of_a_dropped_image(tmp_path: Path) -> None:
    """Both splits of the export, with their category images and lists."""
    store = open_dataset(make_store(tmp_path / "store"))
    export(store, export_blocks(("earthsynth",)), tmp_path, lambda _: None)
    flat = tmp_path / "earthsynth/val/images/0000002.png"
    flat.unlink()  # a link to the master
    cv2.imwrite(str(flat), np.full((48, 48, 3), 90, np.uint8))
    summary = _filter(tmp_path / "earthsynth", tmp_path / "out", apply="copy")
    assert summary.recognised.startswith("earthsynth-180k: ") and (summary.images, summary.kept) == (6, 5)
    made, gone = tmp_path / "out/filtered", list((tmp_path / "earthsynth").rglob("0000002*"))
    assert len(gone) > 4 and not list(made.rglob("0000002*"))
    for split, count in (("train", 4), ("val", 1)):
        lines = [json.loads(line) for line in (made / split / "train.jsonl").read_bytes().splitlines()]
        assert all((made / split / line[key]).is_file() for line in lines for key in ("file_name", "mask_name"))
        assert sum("category_masks" in line for line in lines) == count


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    for number in range(3):
        for folder, pixels in (("images", make_image(number)), ("masks", make_condition().mask)):
            (tmp_path / "plain" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "plain" / folder / f"{number}.png"), pixels)
    (tmp_path / "plain/masks/1.png").unlink()
    (tmp_path / "plain/classes.json").write_text('{"25": "storage tank", "17": "ship", "6": "water"}')
    summary = _filter(tmp_path / "plain", tmp_path / "out")
    assert (summary.images, summary.kept) == (2, 2)
    [fault] = summary.faults
    assert fault.endswith("images/1.png: its label image is missing, or several have its name")


def test_pictures_of_the_authors_script_are_recognised(tmp_path: Path) -> None:
    source = tmp_path / "made"
    source.mkdir()
    cv2.imwrite(str(source / "tile_7.png"), np.repeat(make_condition().mask[..., None], 3, axis=2))
    for number in range(2):
        cv2.imwrite(str(source / f"storage tank_tile_7_{number}.png"), make_image(number))
    summary = _filter(source, tmp_path / "out")
    assert "EarthSynth's test.py" in summary.recognised
    assert summary.classes == {"storage tank": (2, 2)}


def test_a_killed_run_goes_on_and_a_new_threshold_needs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_store(tmp_path / "store"), tmp_path / "out"
    loose = "rules: [image_quality, {kind: clip_score, min_margin: -2}]\nselect: [duplicates]\n"
    monkeypatch.setattr(scoring, "BATCH", 2)
    seen: list[int] = []

    def die(done: int, _: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    file = tmp_path / "filter.yaml"
    file.write_text(loose)
    with pytest.raises(KeyboardInterrupt):
        run_filter(source, out, FilterOptions(config=file, device="cpu"), HowToScore(watch=die))
    with (out / "scores.jsonl").open("ab") as journal:
        journal.write(b'{"name": "torn')
    whole = _filter(source, tmp_path / "whole", loose)
    again = _filter(source, out, loose)
    assert seen == [2]
    assert (out / "scores.csv").read_text() == (tmp_path / "whole/scores.csv").read_text()
    assert (again.kept, whole.kept) == (6, 6)

    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(clip, "load_clip", refuse)
    strict = _filter(source, out, loose.replace("-2", "1.9"))
    assert (strict.kept, strict.reasons) == (0, {"clip_score": 6})


def test_calibration_says_where_thresholds_come_from(tmp_path: Path) -> None:
    source = make_store(tmp_path / "store")
    real = _filter(source, tmp_path / "a", calibrate=make_store(tmp_path / "real"))
    assert (real.thresholds_from, real.kept) == ("real", 6)
    assert _filter(source, tmp_path / "b").thresholds_from == "run"


def test_a_build_is_held_to_the_thresholds_that_ship(tmp_path: Path) -> None:
    """As `build` holds to them: percentiles within the run would always refuse a tenth, and whole classes of few images."""
    source = make_store(tmp_path / "store")
    recipe = (
        "name: made\nimage: {size: 128}\ncategories: [{name: ship, count: 6}]\nconditions: [{kind: procedural}]\n"
        "synthesis: {SYNTHESIS}\n"
    )
    (source / "recipe.yaml").write_text(recipe.replace("SYNTHESIS", "kind: fake"))
    assert _filter(source, tmp_path / "dry").thresholds_from == "run"
    (source / "recipe.yaml").write_text(recipe.replace("SYNTHESIS", "model: embedded"))
    assert _filter(source, tmp_path / "made").thresholds_from == "shipped"
    said = json.loads((tmp_path / "made/filter.json").read_bytes())["thresholds"]["image_quality"]
    shipped_value = embedded_thresholds([ImageQualitySpec(kind="image_quality")], earthsynth()).of(
        "image_quality", None
    )
    assert shipped_value is not None and shipped_value in said.values()
    own = recipe.replace("SYNTHESIS", "model: embedded") + "rfilter: {thresholds: own.yaml}\n"
    (source / "recipe.yaml").write_text(own)
    assert _filter(source, tmp_path / "own").thresholds_from == "run"


def test_thresholds_of_a_run_are_the_same_whatever_was_stored_before(tmp_path: Path) -> None:
    """A stage learns from what it sees, and no image is refused without a rule that it fails."""
    source = make_store(tmp_path / "store", 12)
    strict = "rules: [clip_score, instance_class]\nfalse_reject: 0.9\nselect: []\n"
    loose = "rules: [{kind: clip_score, min_margin: -2}, instance_class]\nselect: []\n"
    first = _filter(source, tmp_path / "first", strict)
    _filter(source, tmp_path / "second", loose)
    again = _filter(source, tmp_path / "second", strict)
    assert 0 < first.kept < 12 and set(first.reasons) <= {"clip_score", "instance_class"}
    # Stored scores name further rules that an image fails; what is kept, and by which thresholds, is the same.
    assert (again.kept, set(again.reasons), again.scored) == (first.kept, set(first.reasons), {})
    thresholds = [
        json.loads((tmp_path / name / "filter.json").read_text())["thresholds"] for name in ("first", "second")
    ]
    assert thresholds[0] == thresholds[1]


def test_the_source_is_never_written_into(tmp_path: Path) -> None:
    source = make_store(tmp_path / "store")
    with pytest.raises(StoreError, match="which is only read; choose another --out"):
        run_filter(source, source / "out", FilterOptions())
    shutil.rmtree(source)


def test_a_looser_threshold_scores_only_what_the_old_one_kept_from_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_store(tmp_path / "store"), tmp_path / "out"
    rules = "[image_quality, {{kind: clip_score, min_margin: {}}}, {{kind: instance_class, min_share: 0}}]"
    settings = f"rules: {rules}\nselect: []\n"
    _filter(source, tmp_path / "all", settings.format(-2))
    with (tmp_path / "all/scores.csv").open() as table:
        margins = sorted(float(row["clip_score"]) for row in csv.DictReader(table))
    first = _filter(source, out, settings.format(margins[4]))
    assert first.scored == {"image_quality": 6, "clip_score": 6, "instance_class": 2}
    assert _filter(source, out, settings.format(margins[1])).scored == {"instance_class": 3}
    assert _filter(source, out, settings.format(-2)).scored == {"instance_class": 1}
    assert (out / "scores.csv").read_text() == (tmp_path / "all/scores.csv").read_text()

    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded, or an image read")

    monkeypatch.setattr(clip, "load_clip", refuse)
    monkeypatch.setattr(measuring, "read", refuse)
    for margin in (margins[5], margins[2], -2):
        assert _filter(source, out, settings.format(margin)).scored == {}


def test_an_unknown_class_is_said_before_anything_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="per_class: no category is called 'shipp'; near: ship"):
        _filter(make_store(tmp_path / "store"), tmp_path / "out", PIXELS + "per_class: {shipp: {object_size: 0}}\n")
    assert not (tmp_path / "out/scores.jsonl").exists()


def test_the_command_says_what_it_looked_at(run: Run, tmp_path: Path) -> None:
    source, config = make_store(tmp_path / "store"), tmp_path / "filter.yaml"
    config.write_text(PIXELS)
    words = ("filter", source, "--config", config, "--out", tmp_path / "out", "--calibrate", source, "--device", "cpu")
    code, said, _ = run(*words)
    assert code == 0 and "  images looked at now: image_quality 12, object_size 12\n" in said
    assert f"`rfilter: {{thresholds: {tmp_path}/out/thresholds.yaml}}`" in said
    assert "  decided from stored scores; no image was looked at\n" in run(*words)[1]


def test_the_models_are_doubted_if_few_images_are_kept(run: Run, tmp_path: Path) -> None:
    source, doubt = make_store(tmp_path / "store"), "may not know such imagery"
    for least, said in ((-2, False), (1.9, True)):
        config = tmp_path / f"{least}.yaml"
        config.write_text(f"rules: [{{kind: clip_score, min_margin: {least}}}]\nselect: []\n")
        _, out, _ = run("filter", source, "--config", config, "--out", tmp_path / f"out{least}")
        assert (doubt in " ".join(out.split())) is said


def test_the_command_writes_the_report_unless_told_not_to(run: Run, tmp_path: Path) -> None:
    source, config = _coco(tmp_path / "coco"), tmp_path / "filter.yaml"
    config.write_text(PIXELS)
    words = ("filter", source, "--config", config, "--out", tmp_path / "out", "--device", "cpu")
    page = tmp_path / "out/report/index.html"
    assert "report" not in run(*words, "--no-report")[1] and not page.exists()
    assert f"Look at it:  {page}\n" in run(*words)[1] and page.is_file()
    assert json.loads(run(*words, "--json")[1])["report"] == str(page)
    said = json.loads((tmp_path / "out/filter.json").read_text())
    assert (said["source"], said["map"]) == (str(source.resolve()), None)


def test_what_a_folder_is_may_be_said(run: Run, tmp_path: Path) -> None:
    source, config = _coco(tmp_path / "coco"), tmp_path / "filter.yaml"
    config.write_text(PIXELS)
    words = ("filter", source, "--config", config, "--out", tmp_path / "out", "--device", "cpu", "--kind")
    assert run(*words, "coco")[0] == 0
    code, _, said = run(*words, "cocoa")
    assert code == 2 and "--kind cocoa: not a known kind; one of auto, " in said


@pytest.mark.parametrize("given", ["0", "257", "many", "1.5", "-1", "9" * 5000])
def test_what_is_no_number_of_workers_is_said(run: Run, tmp_path: Path, given: str) -> None:
    code, _, said = run("filter", make_store(tmp_path / "store"), "--out", tmp_path / "out", "--workers", given)
    assert code == InputError.exit_code and "whole number of 1–256" in said
