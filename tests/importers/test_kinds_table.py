"""The table of kinds in the importers' README: every reader once, as sure as it says, by the mark that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from earthsynth_factory.importers.readers import READERS
from earthsynth_factory.importers.scene import Strength
from tests.importers.choosing import request
from tests.importers.layouts import ALL

README = Path(__file__).parents[2] / "earthsynth_factory/importers/README.md"


def listed(heading: str) -> list[str]:
    """Kinds of the table below a heading."""
    part = README.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `(\w[\w-]*)` \|", part, flags=re.MULTILINE)


PUBLISHED, FORMS = listed("Published datasets"), listed("Forms that any dataset may be in")


def test_every_reader_stands_there_once() -> None:
    assert sorted(PUBLISHED + FORMS) == sorted(READERS)


def strength(kind: str, root: Path) -> Strength | None:
    evidence = READERS[kind].recognise(request(root))
    return evidence.strength if evidence else None


@pytest.mark.parametrize("kind", [*PUBLISHED, *FORMS])
def test_a_kind_is_as_sure_as_its_table_says(kind: str, tmp_path: Path) -> None:
    ALL[kind](tmp_path / "in")
    wanted = Strength.OWN if kind in PUBLISHED else Strength.FORMAT
    assert strength(kind, tmp_path / "in") is wanted


MARKS: dict[str, list[tuple[str, str]]] = {
    "prepared": [("dataset.json", "mine.json")],
    "earthsynth-180k": [
        ("OEM", "A"),
        ("LD_", "B"),
        ("DG_", "C"),
        ("SOTA_", "D"),
        ("LAE", "E"),
        ("train.jsonl", "a.jsonl"),
    ],
    "landdiscover50k": [("TR_Image", "pictures")],
    "openearthmap": [("val.txt", "notes.txt")],
    "loveda": [("images_png", "pictures")],
    "deepglobe": [("_sat", "_picture")],
    "samrs": [("SOTA", "mine")],
    "lae": [("LAE", "mine")],
    "dior": [("Bounding Boxes", "labels")],
    "isaid": [("instance_color_RGB", "colours")],
    "fair1m": [("possibleresult", "result")],
    "hrsc2016": [("HRSC_Image", "Picture")],
    "xview": [("bounds_imcoords", "bounds")],
    "xbd": [("disaster", "event")],
    "visdrone": [(",", " ")],
    "ucas-aod": [("CAR", "mine"), ("PLANE", "yours")],
    "dubai": [("image_part_", "")],
    "gid": [("water_", "lake_")],
    "kit_ais": [("minibus", "tram")],
    "nwpu": [("imgs", "pictures"), ("positive image set", "pictures")],
}
"""Kind → the mark that its row names, and what stands in its place in a stranger's folder."""


@pytest.mark.parametrize("kind", PUBLISHED)
def test_without_its_mark_a_folder_of_the_same_form_is_not_it(kind: str, tmp_path: Path) -> None:
    root = ALL[kind](tmp_path / "in")
    root = root if root.is_dir() else root.parent
    for mark, other in MARKS[kind]:
        for path in sorted(root.rglob("*"), reverse=True):
            if path.suffix in (".txt", ".xml", ".json", ".geojson") and path.is_file():
                path.write_text(path.read_text().replace(mark, other))
            if mark in path.name:
                path.rename(path.with_name(path.name.replace(mark, other)))
    assert strength(kind, root) in (None, Strength.SHAPE)
