"""The built-in categories are EarthSynth's, and are found by any usual spelling."""

from __future__ import annotations

import pytest

from earthsynth_factory.domain.taxonomy import earthsynth, make_category, normalise
from earthsynth_factory.errors import InputError


def test_ids_are_those_of_the_released_weights() -> None:
    taxonomy = earthsynth()
    assert [category.id for category in taxonomy] == list(range(69))
    known = {
        0: "background",
        4: "road",
        16: "plane",
        25: "storage tank",
        39: "windmill",
        40: "A220",
        68: "developed space",
    }
    assert {number: taxonomy[number].name for number in known} == known


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Storage-Tanks", "storage tank"),
        ("store_tank", "storage tank"),
        ("GROUND TRACK FIELD", "ground track field"),
        ("Ground_Track_Field", "ground track field"),
        ("airplane", "plane"),
        ("a220", "A220"),
        ("Boeing737", "Boeing737"),
        ("harbour", "harbor"),
        ("buildings", "building"),
        ("grass", "grass"),
        ("bus", "bus"),
    ],
)
def test_usual_spellings(spelling: str, name: str) -> None:
    assert earthsynth().named(spelling).name == name


def test_every_name_finds_itself() -> None:
    taxonomy = earthsynth()
    assert all(taxonomy.named(category.name) is category for category in taxonomy)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown category 'storrage tnk'; did you mean 'storage tank'"):
        earthsynth().named("storrage tnk")


def test_own_categories_may_not_clash() -> None:
    with pytest.raises(InputError, match="id 25 is taken"):
        earthsynth().extended([make_category(25, "solar farm")])
    with pytest.raises(InputError, match="the name is taken"):
        earthsynth().extended([make_category(70, "Storage-Tank")])
    with pytest.raises(InputError, match="outside 0–254"):
        make_category(255, "solar farm")


def test_the_palette_tells_classes_apart() -> None:
    taxonomy = earthsynth()
    palette = taxonomy.palette()
    assert len(palette) == 768
    assert len({category.color for category in taxonomy}) == 69
    assert palette[75:78] == list(taxonomy[25].color)
    assert palette[765:] == [255, 255, 255]


def test_normalise_parts_words_and_drops_the_plural() -> None:
    assert normalise("expresswayTollStation") == "expressway toll station"
    assert normalise("tennis_courts") == "tennis court"
