"""Selection, the images that are kept, the comparison's arms, and the table's place in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Candidate, Image, Score
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation import run
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.rfilter.base import Rule
from earthsynth_factory.synthesis.base import ImageGenerator
from research import markdown
from research.embedded.report.generated import GeneratedImages, conditions_of, with_images
from research.embedded.report.selection import balanced, better_half, digest
from research.embedded.report.sheets import write_sheets
from research.embedded.report.sizes import Size
from research.embedded.report.usefulness import compare, rule_values, turned
from tests.research.embedded.test_segmenter import coloured_crops, unlike_crops

CARD = ModelCard(name="test", control="palette", native_size=32, prompt_template="{classes} at {scale}",
                 scales=((2.0, "one metre"),))  # fmt: skip


class Counting(ImageGenerator):
    """Flat images whose grey is the seed's; stops after `allowed` batches, as a kill would."""

    batch = 3

    def __init__(self, allowed: int = 1000) -> None:
        self.calls: list[int] = []
        self.allowed = allowed

    def open(self) -> None: ...

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        if len(self.calls) == self.allowed:
            raise KeyboardInterrupt
        self.calls.append(len(seeds))
        return [np.full((*c.mask.shape, 3), s % 251, np.uint8) for c, s in zip(conditions, seeds, strict=True)]

    def describe(self) -> dict[str, Any]:
        return {}


def test_a_kill_costs_one_batch(tmp_path: Path) -> None:
    conditions = conditions_of(coloured_crops(8), CARD, 1, "held-out")
    with pytest.raises(KeyboardInterrupt):
        GeneratedImages(Counting(allowed=2), "weights", tmp_path).of(conditions, "images")
    second = Counting()
    images = GeneratedImages(second, "weights", tmp_path).of(conditions, "images")
    assert second.calls == [2]
    assert [int(image[0, 0, 0]) for image in images] == [c.seed % 251 for c in conditions]


def test_damage_and_other_weights_mean_other_images(tmp_path: Path) -> None:
    conditions = conditions_of(coloured_crops(3), CARD, 1, "held-out")
    GeneratedImages(Counting(), "weights", tmp_path).of(conditions, "images")
    sorted(tmp_path.glob("*.png"))[0].write_bytes(b"torn")
    again, other = Counting(), Counting()
    GeneratedImages(again, "weights", tmp_path).of(conditions, "images")
    GeneratedImages(other, "other weights", tmp_path).of(conditions, "images")
    assert (again.calls, other.calls) == ([1], [3])


def test_conditions_are_in_the_models_own_words() -> None:
    dense, sparse = conditions_of(coloured_crops(2), CARD, 1, "held-out")
    assert dense.prompt == "bare land, water at one metre"
    assert sparse.prompt == "storage tank at one metre"
    assert dense.seed != conditions_of(coloured_crops(2), CARD, 2, "held-out")[0].seed


def test_balanced_takes_categories_in_turn() -> None:
    focus = np.array([1] * 20 + [6] * 4 + [25] * 2, np.uint8)
    picks = balanced(focus, 9, seed=3)
    assert np.bincount(focus[picks])[[1, 6, 25]].tolist() == [4, 3, 2]
    assert (np.diff(picks) > 0).all()
    assert balanced(focus, 99, seed=3).tolist() == list(range(26))


def test_the_better_half_is_taken_within_each_category() -> None:
    focus = np.array([1, 1, 1, 1, 6, 6, 6], np.uint8)
    scores = np.array([9.0, 8, 7, 6, 1, 3, 2])
    assert better_half(focus, scores).tolist() == [0, 1, 5, 6]


def test_content_has_one_name() -> None:
    crops = coloured_crops()
    assert digest(crops) == digest(coloured_crops())
    assert digest(crops) != digest(with_images(crops, list(255 - crops.images)))


def test_image_and_mask_turn_together() -> None:
    crops = coloured_crops()
    after = turned(with_images(crops, list(np.repeat(crops.masks[..., None], 3, axis=3))), 1)
    np.testing.assert_array_equal(after.images[..., 0], after.masks)
    assert (after.masks != crops.masks).any()


class Brightness(Rule):
    def open(self) -> None: ...

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        return [Score(float(candidate.image.mean()), True) for candidate in candidates]


def test_the_evaluation_gets_the_crops_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "cores", lambda: 1)
    crops, held = unlike_crops(8), unlike_crops(8, seed=4)
    conditions = conditions_of(crops, CARD, 1, "training")
    scores = rule_values(Brightness(), conditions, list(crops.images))
    assert scores.tolist() == [float(image.mean()) for image in crops.images]
    size = Size(held_out=8, share=1, rounds=2, budget={"side": 32, "steps": 2, "batch": 4, "held_out": 8})
    found = compare(crops, held, turned(crops, 2), scores, size, tmp_path, 1)
    assert found["images"] == {"train": 8, "val": 2, "test": 6, "synthetic": 4, "compared": 4}
    assert [arm["arm"] for arm in found["shares"][0]["arms"]] == ["real", "synthetic", "compared"]
    (place,) = tmp_path.iterdir()
    better = {path.name: cv2.imread(str(path))[..., ::-1] for path in (place / "better" / "images").iterdir()}
    wanted = turned(crops, 2).taken(better_half(crops.focus, scores)).images
    assert all(np.array_equal(better[f"train_{number}.png"], image) for number, image in enumerate(wanted))
    sparse = cv2.imread(str(place / "real" / "masks" / "train_1.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(sparse)) == {25, 255}, "what nobody labelled is ignored"


def test_a_sheet_for_each_category_and_one_of_all(tmp_path: Path) -> None:
    crops = coloured_crops()
    paths = write_sheets(crops, with_images(crops, list(255 - crops.images)), tmp_path)
    assert sorted(path.name for path in paths) == ["overview.png", "storage_tank.png", "water.png"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_only_what_is_between_the_markers_changes() -> None:
    text = f"above\n\n{markdown.START}\nold | table\n{markdown.END}\n\nbelow  \n"
    after = markdown.filled(text, "\nnew\ntable\n", "README.md")
    assert after == f"above\n\n{markdown.START}\nnew\ntable\n{markdown.END}\n\nbelow  \n"
    assert markdown.filled(after, "new\ntable", "README.md") == after


@pytest.mark.parametrize("text", ["none", f"{markdown.END}\n{markdown.START}", markdown.EMPTY * 2, markdown.START])
def test_a_file_without_one_pair_of_markers_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "CARD.md"
    path.write_text(text)
    with pytest.raises(InputError, match=r"CARD\.md: the table needs one line <!-- model-report --> and after it one"):
        markdown.check(path)
    assert path.read_text() == text


def test_the_readme_and_the_shipped_cards_have_their_markers() -> None:
    root = Path(markdown.__file__).parents[1]
    embedded = root / "earthsynth_factory" / "assets" / "embedded"
    for path in (root / "tests/benchmarks/README.md", embedded / "pipeline" / "card.md", embedded / "clip" / "card.md"):
        markdown.check(path)
