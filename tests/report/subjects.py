"""Subjects of reports with hostile words in every place that data can reach, and what a page is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.outcome import NO_CONDITION, NOT_BEST, Outcome, Reason
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.domain.taxonomy import Taxonomy, make_category
from earthsynth_factory.errors import SourceError
from earthsynth_factory.report.html.model import ALL, NOTHING, ImagePixels, ReportImage, RuleFacts, Subject

SCRIPT = "</script><script>document.title='broken'</script>"
IMAGE = "<img src=x onerror=\"document.title='broken'\">"
QUOTES = "\"' onclick='document.title=\"broken\"' {{data}} &amp; \\u003c"
UNSEEN = "船 Größe\u202egnp.exe\x00\u2028end"
HOSTILE = (SCRIPT, IMAGE, QUOTES, UNSEEN)

CLASSES = Taxonomy(
    (
        make_category(0, "background", thing=False),
        *(make_category(number, name) for number, name in enumerate(HOSTILE, start=1)),
        make_category(9, "meadow", thing=False),
    )
)
SPLITS = ("train", IMAGE)


def picture(seed: int, side: int = 64) -> np.ndarray:
    """(side, side, 3): coarse random blocks, so that pictures of different seeds are not near duplicates."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((side // 8, side // 8, 1), np.uint8))


def pixels(seed: int, class_id: int, masked: bool = True, side: int = 64) -> ImagePixels:
    mask, numbers = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint16)
    mask[8:40, 8:24], numbers[8:40, 8:24] = class_id, 1
    return ImagePixels(picture(seed, side), mask, numbers) if masked else ImagePixels(picture(seed, side))


def _broken() -> ImagePixels:
    raise SourceError(f"{SCRIPT}: missing")


def entries(count: int = 24, side: int = 64) -> Iterator[ReportImage]:
    """Kept, rejected and spare images of every class, one unreadable, two alike in different splits."""
    for number in range(count):
        class_id, hostile = 1 + number % 4, HOSTILE[number % 4]
        twin = 0 if number == 5 else number
        common = {
            "groups": (class_id,),
            "split": SPLITS[number % 2],
            "scores": {"sharp<ness": 0.1 + number / count, hostile: -1.5 + number},
            "prompt": hostile,
            "attempt": 0,
            "condition_seed": 2**62 + number,
            "image_seed": number,
            "origin": Origin(hostile, hostile, {hostile: hostile}),
        }
        box = Instance(1, class_id, (8, 8, 16, 32), 512, "", 1.0, False)
        load = _broken if number == 7 else lambda t=twin, c=class_id: pixels(t, c, side=side)
        yield ReportImage(
            name=f"{number:07d}{hostile}", outcome=Outcome.KEPT, instances=(box,), size=(side, side),
            metres_per_pixel=0.5, pixels=load, **common,
        )  # fmt: skip
        outcome = Outcome.REJECTED if number % 3 else Outcome.SPARE
        reason = Reason(hostile, hostile) if number % 3 else Reason(NOT_BEST, "another was better")
        missing = None if number % 5 == 0 else lambda n=number, c=class_id: pixels(1000 + n, c, n % 2 == 0, side)
        yield ReportImage(
            name=f"{number:07d}", outcome=outcome, reasons=(reason,), pixels=missing, **{**common, "attempt": 1},
        )  # fmt: skip
    yield ReportImage(
        "none", Outcome.UNDRAWN, (NOTHING,), "train", (Reason(NO_CONDITION, "nothing fits"),), attempt=0, final=True
    )


def hostile_subject(count: int = 24, side: int = 64) -> Subject:
    """A build in which every word is an attack."""
    asked = {(class_id, SPLITS[(class_id - 1) % 2]): count // 4 for class_id in range(1, 5)}
    return Subject(
        name=SCRIPT,
        lead=IMAGE,
        taxonomy=CLASSES,
        splits=SPLITS,
        entries=lambda: entries(count, side),
        asked={**asked, (NOTHING, "train"): 1},
        state=QUOTES,
        rules={"sharp<ness": RuleFacts({ALL: 0.5, 1: 0.25}, {HOSTILE[0]: SCRIPT})},
        absent={"x": UNSEEN},
        making=((SCRIPT, [(IMAGE, QUOTES), ("quiet", UNSEEN)]),),
        document=json.dumps(HOSTILE),
        commands=((SCRIPT, IMAGE),),
        command="make {name} {attempt} " + SCRIPT,
    )


@dataclass
class Page(HTMLParser):
    """What a browser would find. texts: text between tags, without style and script. problems: what should not be."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> Page:
        page = cls()
        HTMLParser.__init__(page)
        page.feed(data.decode("utf-8"))
        page.close()
        page.problems += [f"<{name}> is not closed" for name in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) < len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice: {attrs}")
        if tag not in ("img", "meta", "input", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        (self.scripts if inside in ("script", "style") else self.texts).append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Attributes of every such element."""
        return [
            found for name, found in self.tags if name == tag and all(found.get(k) == v for k, v in attributes.items())
        ]

    @property
    def text(self) -> str:
        """Everything a person can read, blanks folded."""
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def data(self) -> dict[str, dict[str, object]]:
        """The JSON island."""
        [text] = [text for text in self.scripts if text.startswith("{")]
        return json.loads(text)
