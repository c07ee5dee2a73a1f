"""The whole page, taken apart: hostile words stay words, pictures are pictures, size is bounded, bytes are equal."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shlex
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.domain.outcome import Outcome, Reason
from earthsynth_factory.domain.taxonomy import Taxonomy, make_category
from earthsynth_factory.report.html.markup import plain
from earthsynth_factory.report.html.model import ImagePixels, ReportImage, Subject
from earthsynth_factory.report.html.write import render_report
from tests.report.subjects import HOSTILE, IMAGE, QUOTES, SCRIPT, UNSEEN, Page, hostile_subject


@pytest.fixture(scope="module")
def data() -> bytes:
    return render_report(hostile_subject())


@pytest.fixture(scope="module")
def page(data: bytes) -> Page:
    return Page.of(data)


def test_it_is_whole(page: Page) -> None:
    assert page.problems == []
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    for name in ("aria-controls", "aria-labelledby"):
        assert {found[name] for _, found in page.tags if name in found} <= set(ids)
    assert {found["href"] for found in page.all("a")} <= {f"#{one}" for one in ids}
    titles = ["Overview", "Pictures", "Reasons", "Scores", "Objects", "Duplicates", "Settings"]
    assert [found["id"] for found in page.all("section")] == [
        found["aria-controls"] for found in page.all("a", role="tab")
    ]
    assert page.text.strip().startswith(
        f"{SCRIPT} · earthsynth-factory To the content {SCRIPT} {IMAGE} {QUOTES} {' '.join(titles)}"
    )


def test_words_of_others_are_never_markup(page: Page) -> None:
    assert len(page.all("script")) == 2 and len(page.all("style")) == 1
    for name, found in page.tags:
        assert not [
            key for key in found if key.startswith("on") or key in ("style", "srcdoc", "action", "formaction")
        ], name
    assert all((found["src"] or "").startswith("data:image/") for found in page.all("img"))
    for words in HOSTILE:
        assert page.text.count(re.sub(r"\s+", " ", plain(words))) >= 5, words
    assert UNSEEN not in page.text and "\u202e" not in page.text and "\x00" not in page.text
    options = [found["value"] for found in page.all("option")]
    assert plain(IMAGE) in options and "1" in options


def test_the_policy_admits_our_style_and_script_alone(page: Page) -> None:
    [policy] = [found["content"] for found in page.all("meta") if found.get("http-equiv") == "Content-Security-Policy"]
    style, _, script = page.scripts
    for kind, text in (("style", style), ("script", script)):
        mark = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{mark}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:; ") and "unsafe" not in policy and "http" not in policy


def test_every_picture_decodes_and_labels_lie_over_it(page: Page) -> None:
    sizes = []
    for found in page.all("img"):
        kind, _, text = found["src"].partition(";base64,")
        image = PIL.Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
        image.load()
        assert f"data:image/{image.format.lower()}" == kind
        assert image.size == (int(found["width"]), int(found["height"]))
        if found.get("class") == "layer":
            seen = np.asarray(image.convert("RGBA"))
            assert seen[0, 0, 3] == 0 and tuple(seen[8, 7]) == (255, 255, 255, 255) and 0 < seen[20, 16, 3] < 255
        sizes.append(image.size)
    assert len(sizes) > 60


def test_a_click_shows_all_that_is_known(page: Page) -> None:
    cards = page.all("button", **{"class": "card"})
    assert {card["data-id"] for card in cards} == set(page.data)
    known = page.data["p0"]
    number = int(dict(known["facts"])["image seed"])
    facts = dict(known["facts"])
    assert facts["condition seed"] == str(2**62 + number)
    assert (facts["prompt"], facts["condition from"]) == (plain(HOSTILE[number % 4]),) * 2
    assert ["sharp<ness", f"{0.1 + number / 24:.4g}"] in [score[:2] for score in known["scores"]]
    assert shlex.split(known["command"])[1].startswith(f"{number:07d}")  # one word, whatever is in it
    verdicts = {card["data-verdict"] for card in cards}
    assert verdicts == {"kept", "rejected"}
    assert {card["data-split"] for card in cards} == {"train", IMAGE}


def test_counts_and_shortfalls_are_told(page: Page) -> None:
    assert "24 of 25 images kept" in page.text
    assert "1 image missing , not made yet or given up: negatives (train): 1" in page.text
    # 24 kept, 8 spare and 16 rejected of 48.
    assert "48 images made 67 % passed the filter" in page.text
    assert f"1 image cannot be read: 0000007{plain(HOSTILE[3])}"[:44] in page.text
    words = "among the kept images compared (all 24). 1 could not be read."
    assert f"2 images in 1 cluster {words}" in page.text
    assert f"in several splits: {IMAGE}, train" in page.text
    assert "no condition" in page.text


def test_thresholds_are_those_of_the_class(page: Page) -> None:
    titles = [text for text in page.texts if text.startswith("Histogram of") and "sharp<ness" in text]
    assert titles[0].endswith("48 scores of sharp<ness, least 0.5")
    assert [title[-4:] for title in titles[1:]].count("0.25") == 1
    held = {score[2] for card in page.data.values() for score in card["scores"] if score[0] == "sharp<ness"}
    assert held == {"0.5", "0.25"}


def test_equal_datasets_give_equal_bytes(data: bytes) -> None:
    assert render_report(hostile_subject()) == data
    subject = hostile_subject()
    backwards = replace(subject, entries=lambda: iter(list(subject.entries())[::-1]))
    one, other = Page.of(data), Page.of(render_report(backwards))
    assert one.data == other.data and one.texts == other.texts


def test_size_is_bounded_whatever_the_dataset() -> None:
    """Noise is what compresses worst; 254 classes of the longest names, 2,600 images, a reason and a rule of its own each."""
    classes = Taxonomy(tuple(make_category(number, f"{number}" + "&" * 76) for number in range(1, 255)))
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).integers(0, 200, (300, 300)).astype(np.uint8)
    pixels = ImagePixels(noise, mask, mask.astype(np.uint16))

    def entries():  # type: ignore[no-untyped-def]
        for number in range(2600):
            outcome = Outcome.KEPT if number % 3 else Outcome.REJECTED
            scores = {f"rule {number % 40}": float(number), "other": 1 / (number + 1)}
            reasons = () if number % 3 else (Reason(f"&{number}", "&" * 5000),)
            yield ReportImage(
                f"{number:05d}", outcome, (1 + number % 254,), "train", reasons, scores, (), (300, 300), 0.5,
                "&" * 5000, 0, 1, 1, pixels=lambda: pixels,
            )  # fmt: skip

    asked = {(category.id, "train"): 50 for category in classes}
    made = render_report(
        Subject("big", "", classes, ["train"], entries, asked=asked, document="&" * 10**6, command="x {name}")
    )
    assert len(made) < 12_000_000
    page = Page.of(made)
    assert not page.problems and len(page.all("option")) > 254
    assert "other reasons" in page.text and "classes with fewer images are in “all classes” alone" in page.text


def test_an_empty_dataset_has_a_page() -> None:
    subject = hostile_subject(0)
    page = Page.of(render_report(replace(subject, entries=lambda: iter(()), asked={(1, "train"): 3})))
    assert not page.problems
    assert "0 of 3 images kept" in page.text and "No objects" in page.text
    assert "Scores" not in page.texts


def test_scores_that_are_no_numbers_are_left_out() -> None:
    entry = ReportImage(
        "a",
        Outcome.KEPT,
        (1,),
        "train",
        scores={"r": None, "s": float("inf"), "t": 1.0},
        pixels=lambda: ImagePixels(np.zeros((8, 8, 3), np.uint8)),
    )  # type: ignore[dict-item]  # what JSON's null becomes
    page = Page.of(render_report(replace(hostile_subject(), entries=lambda: iter([entry]))))
    titles = [text for text in page.texts if text.startswith("Histogram of")]
    assert titles == ["Histogram of 1 scores of t"] * 2
