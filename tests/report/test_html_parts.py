"""What the page is made of: markup that escapes, samples and histograms that keep their bounds in any order."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.report.html import charts
from earthsynth_factory.report.html.clusters import find_clusters
from earthsynth_factory.report.html.markup import Html, escaped, island, number, plain, tag
from earthsynth_factory.report.html.model import ImagePixels, ReportImage
from earthsynth_factory.report.html.sketch import LIMIT, Reservoir, Sketch, common_bins, quantiles
from tests.report.subjects import HOSTILE, Page, picture


def test_a_tag_escapes_text_and_attributes_but_not_markup() -> None:
    made = tag("p", '<b> & "', tag("i", "x"), class_="a", data_id='"><', hidden=True, title=None, open=False)
    assert made == '<p class="a" data-id="&quot;&gt;&lt;" hidden>&lt;b&gt; &amp; &quot;<i>x</i></p>'


@given(st.text())
def test_whatever_is_written_is_one_element_and_reads_as_it_was(text: str) -> None:
    page = Page.of(f"<html>{tag('p', text, title=text)}</html>".encode())
    assert [name for name, _ in page.tags] == ["html", "p"]
    assert not page.problems
    expected = plain(text, 100_000)
    # A parser reads line ends of any kind as one.
    assert "".join(page.texts) == expected
    assert page.all("p") == [{"title": expected}]


@given(st.dictionaries(st.text(), st.lists(st.text() | st.integers())))
def test_the_island_is_the_same_json_and_cannot_end_its_element(data: object) -> None:
    text = island(data)
    assert json.loads(text) == data
    assert not set(text) & set("<>&") and text.isascii()


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert plain("a\u202eb\x00c\u2067d\ud800") == "a\ufffdb\ufffdc\ufffdd\ufffd"
    assert plain("x" * 9, 5) == "xxxx…"
    assert escaped(Html("<b>")) == "<b>"
    assert number(-0.23714) == "−0.2371"


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=200), st.randoms())
def test_a_reservoir_does_not_mind_the_order(names: list[int], mixed: object) -> None:
    one, other = (Reservoir[int](20, "test") for _ in range(2))
    for name in names:
        one.offer(str(name), name)
    mixed.shuffle(names)  # type: ignore[attr-defined]
    for name in names:
        other.offer(str(name), name)
    assert one.items() == other.items()
    assert len(one.items()) == min(20, len(names))


def test_a_reservoir_is_fair() -> None:
    taken = np.zeros(100, int)
    for purpose in range(400):
        reservoir = Reservoir[int](10, str(purpose))
        for item in range(100):
            reservoir.offer(str(item), item)
        taken[reservoir.items()] += 1
    # 40 times each on average; six standard deviations are 36.
    assert taken.sum() == 4000
    assert taken.min() > 4 and taken.max() < 76


finite = st.floats(-1e9, 1e9)


@given(st.lists(finite, min_size=1, max_size=400), st.randoms())
def test_a_sketch_counts_all_in_bounded_bins_in_any_order(values: list[float], mixed: object) -> None:
    one, other = Sketch(), Sketch()
    for value in values:
        one.add(value)
    mixed.shuffle(values)  # type: ignore[attr-defined]
    for value in values:
        other.add(value)
    assert (one.bins, one.level) == (other.bins, other.level)
    assert one.count == len(values) and len(one.bins) <= LIMIT
    for value in values:
        assert math.floor(math.ldexp(value, -one.level)) in one.bins


@given(st.lists(finite, min_size=1, max_size=200), st.lists(finite, max_size=200))
def test_spread_loses_nothing(first: list[float], second: list[float]) -> None:
    sketches = [Sketch(), Sketch()]
    for sketch, values in zip(sketches, (first, second), strict=True):
        for value in values:
            sketch.add(value)
    low, high = quantiles(sketches[:1], (0.1, 0.9))
    left, right, counts = common_bins(sketches, low, high, 32)
    assert [sum(row) for row in counts] == [len(first), len(second)]
    assert left <= low <= high <= right and len(counts[0]) <= 34


def test_quantiles_are_right_to_a_bin() -> None:
    sketch = Sketch()
    for value in range(1000):
        sketch.add(value / 1000)
    [median, edge] = quantiles([sketch], (0.5, 0.99))
    assert abs(median - 0.5) <= 2.0**sketch.level and abs(edge - 0.99) <= 2.0**sketch.level


def test_a_histogram_draws_every_bar_and_the_threshold() -> None:
    axis = charts.linear(-1.0, 1.0, "images by score")
    assert [text for _, text in axis.ticks] == ["−1", "−0.5", "0", "0.5", "1"]
    drawn = charts.histogram(
        [("kept", [4, 0, 2]), ("rejected", [0, 1, 2])], axis, HOSTILE[0], charts.Mark(0.5, "least 0")
    )
    page = Page.of(drawn.encode())
    kept, rejected = (path["d"] for path in page.all("path"))
    assert (kept.count("M"), rejected.count("M")) == (2, 2)
    assert "least 0" in page.text and plain(HOSTILE[0]) in page.text
    # The taller stack of two ends where the tallest does: both count 4.
    assert min(float(part.split("H")[0]) for part in kept.split("V")[1::2]) == 34.0


def test_ticks_stand_at_powers_of_two() -> None:
    assert charts.octaves(1, 8, 4, "pixels").ticks == [(0.0, "2"), (0.5, "4"), (1.0, "8")]


def test_clusters_are_chains_of_near_pictures() -> None:
    def entry(name: str, seed: int, noise: int = 0) -> ReportImage:
        image = np.clip(picture(seed).astype(int) + np.random.default_rng(noise).integers(-2, 3, (64, 64, 3)), 0, 255)
        return ReportImage(name, Outcome.KEPT, (1,), "train", pixels=lambda: ImagePixels(image.astype(np.uint8)))

    alone = [entry(f"alone {seed}", seed) for seed in range(10, 30)]
    found = find_clusters(
        [entry("c", 2, 1), *alone, entry("a", 1), entry("b", 1, 1), entry("e", 2, 3), entry("d", 2, 2)]
    )
    assert [[one.name for one in group] for group in found.groups] == [["c", "d", "e"], ["a", "b"]]
    assert (found.compared, found.unreadable) == (25, 0)
