"""A folder scored by several processes: the same bytes as by one, whoever dies and whenever it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.errors import Interrupted
from earthsynth_factory.exports.write import export
from earthsynth_factory.filtering import scoring
from earthsynth_factory.filtering.measuring import Chunk, MeasuredChunk, MeasureTask
from earthsynth_factory.filtering.run import FilterOptions, FilterSummary, run_filter
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.filtering.scoring import FolderScorer, HowToScore, asked_rules
from earthsynth_factory.filtering.sources import open_folder
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from earthsynth_factory.recipe.load import export_blocks
from tests.killing import kill_a_worker
from tests.making import make_condition, make_image, make_store

CLIP = "rules: [image_quality, {kind: clip_score, min_margin: -2}]\nselect: [duplicates]\n"
PIXELS = "rules: [image_quality]\nselect: []\n"
MADE = ("scores.jsonl", "scores.csv", "decisions.jsonl", "keep.txt", "filter.json", "vectors/*")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with masks, in 11 chunks of two; some are one and the same, and one is damaged."""
    for number in range(22):
        for name, pixels in (("images", make_image(number % 17)), ("masks", make_condition().mask)):
            (tmp_path / "folder" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "folder" / name / f"{number:02}.png"), pixels)
    (tmp_path / "folder/images/05.png").write_bytes(b"\x89PNG\r\n half")
    (tmp_path / "folder/classes.json").write_text('{"25": "storage tank", "17": "ship", "6": "water"}')
    return tmp_path / "folder"


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", 2)


def _filter(
    path: Path, out: Path, workers: int, config: str, watch: Callable[[int, int], None] = lambda *_: None
) -> FilterSummary:
    file = out.parent / "filter.yaml"
    file.write_text(config)
    return run_filter(path, out, FilterOptions(config=file, device="cpu"), HowToScore(workers, watch))


def _made(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for name in MADE for file in sorted(out.glob(name))}


@pytest.mark.slow
def test_two_workers_with_networks_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    one, two = _filter(folder, tmp_path / "1", 1, CLIP), _filter(folder, tmp_path / "2", 2, CLIP)
    assert one.images == 22 and len(one.faults) == 1 and one.scored == {"image_quality": 21, "clip_score": 21}
    assert two.scored == one.scored
    assert len(_made(tmp_path / "1")) == 6 and all(_made(tmp_path / "1").values())
    assert _made(tmp_path / "1") == _made(tmp_path / "2")


def test_three_workers_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    alone, three = _filter(folder, tmp_path / "a", 1, PIXELS), _filter(folder, tmp_path / "3", 3, PIXELS)
    assert alone.scored == three.scored and _made(tmp_path / "a") == _made(tmp_path / "3")


def test_a_worker_that_is_killed_is_named_and_the_same_command_goes_on(folder: Path, tmp_path: Path) -> None:
    def kill(done: int, _: int) -> None:
        if done == 2:
            kill_a_worker()

    with pytest.raises(Interrupted, match=r"worker \d+ died \(exit code -9.*with fewer `--workers`"):
        _filter(folder, tmp_path / "out", 2, PIXELS, kill)
    left = (tmp_path / "out/scores.jsonl").read_bytes().count(b"\n")
    seen: list[int] = []
    _filter(folder, tmp_path / "out", 2, PIXELS, lambda done, _: seen.append(done))
    _filter(folder, tmp_path / "whole", 1, PIXELS)
    assert left >= 2 and seen == list(range(left + 2, 23, 2))
    assert _made(tmp_path / "out") == _made(tmp_path / "whole")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_in_the_making(folder: Path, tmp_path: Path, workers: int) -> None:
    told: list[str] = []
    seen: list[int] = []

    def stop(done: int, _: int) -> None:
        seen.append(done)
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    file = tmp_path / "filter.yaml"
    file.write_text(PIXELS)
    options = FilterOptions(config=file, device="cpu")
    with pytest.raises(Interrupted, match="run the same command again"):
        run_filter(folder, tmp_path / "out", options, HowToScore(workers, stop, told.append))
    assert (seen[-1] == 4 or workers > 1) and told == [
        "finishing the images that are looked at; Ctrl-C again stops now"
    ]
    assert (tmp_path / "out/scores.jsonl").read_bytes().count(b"\n") == seen[-1]
    _filter(folder, tmp_path / "out", workers, PIXELS)
    _filter(folder, tmp_path / "whole", 1, PIXELS)
    assert _made(tmp_path / "out") == _made(tmp_path / "whole")


def _build(folder: Path) -> Path:
    return make_store(folder)


def _prepared(folder: Path) -> Path:
    export(open_dataset(make_store(folder.with_name("store"))), export_blocks(("coco",)), folder / "e", lambda _: None)
    prepare(folder / "e/coco", folder / "p", PrepareOptions(workers=1))
    return folder / "p"


def _coco(folder: Path) -> Path:
    export(open_dataset(make_store(folder.with_name("store"))), export_blocks(("coco",)), folder, lambda _: None)
    return folder / "coco"


def _of_test_py(folder: Path) -> Path:
    folder.mkdir()
    cv2.imwrite(str(folder / "tile_7.png"), np.repeat(make_condition().mask[..., None], 3, axis=2))
    cv2.imwrite(str(folder / "storage tank_tile_7_0.png"), make_image(0))
    return folder


def _sent(thing: Any) -> Any:
    """As a worker gets it."""
    return ForkingPickler.loads(ForkingPickler.dumps(thing))


@pytest.mark.parametrize("made", [_build, _prepared, _coco, _of_test_py], ids=lambda made: made.__name__[1:])
def test_what_goes_to_a_worker_measures_there_as_here(made: Callable[[Path], Path], tmp_path: Path) -> None:
    opened = open_folder(made(tmp_path / "in"), tmp_path / "out")
    context = StageContext(opened.taxonomy, opened.targets, Path(), "cpu")
    rules = asked_rules(FilterSpec(rules=("image_quality", "object_size")).rules, context)
    asked = [(rule.name, rule.spec, rule.settings) for rule in rules]
    task = MeasureTask(opened.entries, asked, context, tmp_path / "vectors")
    places = range(len(opened.entries))
    chunk = Chunk(list(places), [None] * len(places))
    sent: MeasuredChunk = _sent(task).open("cpu")(_sent(chunk))
    with closing(ScoreJournal(tmp_path / "s.jsonl", opened.names, {r.name: r.settings for r in rules})) as journal:
        FolderScorer(opened.entries, journal, tmp_path / "vectors", context).score(places, rules)
        assert [journal.row(place) for place in places] == list(sent.rows)
    assert not any(row.fault for row in sent.rows) and sent.asked["image_quality"] == len(places)
