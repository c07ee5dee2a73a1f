"""Reading and checking EarthSynth's layout, and the order and content of batches."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import orjson
import PIL.Image
import pytest

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.rgb import read_rgb
from earthsynth_factory.training.controlnet.batches import Batches
from earthsynth_factory.training.controlnet.dataset import Dataset, open_dataset
from earthsynth_factory.training.controlnet.pictures import fit_image, fit_mask
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe, DataSpec
from earthsynth_factory.training.controlnet.train_jsonl import read_records, resolve
from tests.training.scenes import TANK, scene, text_of, write_about, write_layout

HERE = DataSpec(path=".", held_out=0)


def opened(root: Path, **knobs: object) -> Dataset:
    spec = DataSpec.model_validate({"path": ".", "held_out": 0, **knobs})
    return open_dataset(root, spec, root.parent / "index.json", seed=1)


def batches(dataset: Dataset, rank: int = 0, world: int = 1, **blocks: dict) -> Batches:
    recipe = ControlNetRecipe.model_validate(
        {"name": "t", "size": 32, "data": {"path": ".", **blocks.pop("data", {})},
         "optim": {"batch": 6, **blocks.pop("optim", {})}, "loss": {"prompt_dropout": 0}, **blocks}
    )  # fmt: skip
    return Batches(dataset, recipe, PromptWriter(dataset.taxonomy), rank, world)


def lines(root: Path) -> list[dict]:
    return [orjson.loads(line) for line in (root / "train.jsonl").read_bytes().splitlines()]


def rewrite(root: Path, changed: list[dict]) -> None:
    (root / "train.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in changed))


def test_whole_and_single_lines_are_told_apart_and_share_their_scene(tmp_path: Path) -> None:
    records, faults = read_records(write_layout(tmp_path / "d", 2))
    assert faults == []
    assert [(r.whole, r.scene) for r in records] == [
        (False, "AA_0_0"), (True, "AA_0_0"), (False, "AA_1_0"), (True, "AA_1_0"),
    ]  # fmt: skip


def test_published_paths_are_found_by_their_last_two_parts_and_never_outside(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "d", 1)
    secret = tmp_path / "images" / "secret.png"
    write_bytes(secret, b"x")
    (root / "images" / "link.png").symlink_to(secret)
    inside = root / "images" / "AA_0_0.png"
    assert resolve(root, "images/AA_0_0.png") == inside
    assert resolve(root, "data/EarthSynth-180K/train/images/AA_0_0.png") == inside
    assert resolve(root, "data\\train\\images\\AA_0_0.png") == inside
    for hostile in ("../images/secret.png", str(secret), "images/link.png", "a\0b/c.png", "images"):
        assert resolve(root, hostile) is None


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "d", 5, singles=False)
    changed = lines(root)
    changed[0]["file_name"] = "images/absent.png"
    changed[1]["text"] = ""
    write_bytes(root / "masks/AA_4_0.png", encode_png(np.full((32, 32), 200, np.uint8)))
    write_bytes(root / "masks/BB_3_0.png", encode_png(np.zeros((16, 32), np.uint8)))
    (root / "images/BB_2_0.png").write_bytes(b"no image")
    rewrite(root, changed)
    with (root / "train.jsonl").open("ab") as file:
        file.write(b"{torn")
    with pytest.raises(SourceError) as caught:
        opened(root)
    told = str(caught.value)
    assert told.startswith(f"{root}: 6 faults in the dataset\n")
    for part in (
        "train.jsonl:1: file_name 'images/absent.png': no such file inside",
        "train.jsonl:2: text is missing or no text; add it",
        "train.jsonl:6: no JSON",
        "BB_2_0.png: not a readable image",
        "train.jsonl:4: BB_3_0.png has 32×32 pixels, its mask BB_3_0.png 32×16; they must be of one size",
        "train.jsonl:5: AA_4_0.png holds the ids 200, which no category has; name them under classes",
    ):
        assert part in told, told


def test_a_list_with_a_byte_order_mark_and_pictures_of_other_formats_are_read(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "d", 4, singles=False)
    plain = opened(root)
    changed = lines(root)
    for line in changed:
        path = root / line["file_name"]
        line["file_name"] = str(Path(line["file_name"]).with_suffix(".webp"))
        PIL.Image.open(path).save(root / line["file_name"], lossless=True)
    rewrite(root, changed)
    path = root / "train.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    given = opened(root)
    assert [sample.ids for sample in given.samples] == [sample.ids for sample in plain.samples]
    both = zip(given.samples, plain.samples, strict=True)
    assert all(np.array_equal(read_rgb(one.image), read_rgb(other.image)) for one, other in both)


def test_a_folder_without_a_list_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="`earthsynth-factory prepare` writes it"):
        opened(tmp_path)


def test_the_survey_is_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_layout(tmp_path / "d", 3)
    first = opened(root)
    looked: list[Path] = []
    from earthsynth_factory.training.controlnet import file_index

    real = file_index._look_at_image
    monkeypatch.setattr(file_index, "_look_at_image", lambda path: (looked.append(path), real(path))[1])
    assert opened(root).samples == first.samples
    assert looked == []
    write_bytes(root / "images/AA_0_0.png", encode_png(np.zeros((32, 32, 3), np.uint8)))
    assert opened(root).samples != first.samples
    assert looked == [root / "images/AA_0_0.png"]


def test_splits_of_dataset_json_are_kept_and_names_decide_ids(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "d", 8, about=True)
    whole = opened(root)
    assert {s.group for s in whole.held_out} == {"g7"}
    assert {s.group for s in whole.samples}.isdisjoint({"g7"})
    assert all(sample.whole for sample in whole.held_out)
    write_about(root, 8, {4: "road", 6: "solar farm", 8: "building", 25: "Storage-Tanks"})
    renamed = opened(root)
    own = renamed.taxonomy.named("solar farm").id
    assert own == 69
    assert renamed.lut[6] == own
    assert renamed.lut[25] == TANK
    assert own in renamed.categories()
    assert 6 not in renamed.categories()


def test_without_splits_whole_scenes_are_held_out(tmp_path: Path) -> None:
    held = opened(write_layout(tmp_path / "d", 8), held_out=0.25)
    kept, looked_at = {s.group for s in held.samples}, {s.group for s in held.held_out}
    assert kept.isdisjoint(looked_at)
    assert len(looked_at) == 2
    assert len(kept) == 6


def test_one_scene_at_least_is_held_out_and_the_smallest_of_large_ones(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "d", 6, about=True)
    about = orjson.loads((root / "dataset.json").read_bytes())
    for number, item in enumerate(about["items"].values()):
        item |= {"split": None, "group": "large" if number else "small"}
    (root / "dataset.json").write_bytes(orjson.dumps(about))
    assert {s.group for s in opened(root, held_out=0.02).held_out} == {"small"}
    assert opened(root, held_out=0).held_out == ()


def test_image_and_mask_are_cut_by_one_geometry_and_masks_by_nearest() -> None:
    mask = np.random.default_rng(0).choice(np.array([0, 4, 8, 25], np.uint8), (40, 60)).repeat(3, 0).repeat(3, 1)
    image = np.repeat((mask * 10)[..., None], 3, axis=2)
    small, labels = fit_image(image, 40), fit_mask(mask, 40)
    assert set(np.unique(labels).tolist()) <= {0, 4, 8, 25}
    np.testing.assert_array_equal(small[..., 0], labels * 10)


def test_an_epoch_visits_every_sample_once_over_all_ranks(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 6))
    ranks = [batches(dataset, rank, 3, cf_comp={"mode": "off"}, optim={"batch": 2}) for rank in range(3)]
    assert ranks[0].stride == 6
    seen = [ranks[r].at(p).picks.tolist() for p in (0, 6) for r in range(3)]
    assert sorted(i for picks in seen for i in picks) == list(range(12))
    again = [ranks[r].at(p).picks.tolist() for p in (12, 18) for r in range(3)]
    assert sorted(i for picks in again for i in picks) == list(range(12))
    assert seen != again


def test_composed_samples_say_what_they_show(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 8, singles=False))
    made = batches(dataset, data={"variants": 4})
    for position in range(0, 40, made.stride):
        batch = made.at(position)
        assert (len(batch.picks), len(batch.images), len(batch)) == (4, 2, 6)
        for image, mask, local, prompt, one in zip(
            batch.images, batch.masks[4:], batch.local[4:], batch.prompts[4:], batch.composed, strict=True
        ):
            assert prompt == text_of(mask)
            np.testing.assert_array_equal(image[..., 1], mask * 5)  # each scene's green says its own class
            np.testing.assert_array_equal(image[..., 0][one.region], one.donor[0][..., 0][one.region])
            np.testing.assert_array_equal(image[..., 0][~one.region], one.base[0][..., 0][~one.region])
            np.testing.assert_array_equal(local, (mask > 0) | one.region)


def test_a_batch_depends_on_seed_position_and_rank_alone(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 8))
    one, other = batches(dataset), batches(dataset)
    other.at(0)
    first, again = one.at(8), other.at(8)
    for name in ("picks", "turns", "masks", "local", "images", "prompts", "guided"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert one.at(8).picks.tolist() != batches(dataset, seed=2).at(8).picks.tolist()


def test_modes_change_what_they_say(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 8))
    off, random, guided = (batches(dataset, cf_comp={"mode": m}) for m in ("off", "random", "cf-comp"))
    assert (off.real, off.composed, len(off.at(0))) == (6, 0, 6)
    assert len(random.at(0)) == len(guided.at(0)) == 6
    assert random.at(0).picks.tolist() == guided.at(0).picks.tolist()
    assert random.at(0).composed[0].choice.scores == {}
    assert set(guided.at(0).composed[0].choice.scores) == {"image", "mask", "text"}
    rare = {m: sum(TANK in one.choice.classes for p in range(0, 400, 4) for one in b.at(p).composed)
            for m, b in (("random", random), ("cf-comp", guided))}  # fmt: skip
    assert rare["cf-comp"] > 1.2 * rare["random"]


def test_dropout_empties_prompts_and_control(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 8))
    half = batches(dataset, loss={"prompt_dropout": 0.5, "control_dropout": 0.25})
    drawn = [half.at(p) for p in range(0, 240, 4)]
    assert np.mean([p == "" for b in drawn for p in b.prompts]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([not g for b in drawn for g in b.guided]) == pytest.approx(0.25, abs=0.1)


def test_symmetries_turn_image_and_mask_alike(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 2))
    made = batches(dataset, data={"variants": 8})
    sample = next(s for s in dataset.samples if s.whole)
    assert sorted(made.symmetries(sample)) == list(range(8))
    assert batches(dataset).symmetries(sample) == [0]
    for turn in range(8):
        np.testing.assert_array_equal(made.image(sample, turn)[..., 1], made.mask(sample, turn) * 5)
    np.testing.assert_array_equal(made.mask(sample), scene(0)[1])


def test_prompts_may_be_written_anew_with_their_scale(tmp_path: Path) -> None:
    dataset = opened(write_layout(tmp_path / "d", 2, about=True), metres_per_pixel=9)
    made = batches(dataset, data={"prompts": "template"})
    made.writer = PromptWriter(dataset.taxonomy, "Seen: {classes}, {scale}", ((0.6, "near"), (9.0, "far")))
    sample = next(s for s in dataset.samples if s.whole)
    assert made.prompt(sample).startswith("Seen: ")
    assert made.prompt(sample).endswith(", near")
