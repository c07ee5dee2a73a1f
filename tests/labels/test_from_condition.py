"""Labels say exactly what the condition holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.geometry.rle import decode
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels
from tests.making import SHIP, TANK, WATER, make_condition

LOOSE = LabelSpec(min_area=1, min_visible=0)


def test_instances_keep_their_order_and_are_numbered_from_one() -> None:
    labels = map_labels(make_condition(), LOOSE, earthsynth())
    assert [(item.id, item.category, item.truncated) for item in labels.instances] == [
        (1, SHIP, False),
        (2, TANK, False),
        (3, SHIP, True),
    ]
    assert labels.classes == (WATER, SHIP, TANK)


def test_run_lengths_boxes_areas_and_map_agree() -> None:
    condition = make_condition()
    labels = map_labels(condition, LOOSE, earthsynth())
    for item, old in zip(labels.instances, (3, 7, 9), strict=True):
        mask = decode(item.rle, *condition.mask.shape)
        rows, columns = np.nonzero(mask)
        assert np.array_equal(mask, condition.instances == old)
        assert np.array_equal(mask, labels.instance_map == item.id)
        assert item.area == mask.sum()
        assert item.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_small_and_hidden_objects_stay_in_the_semantic_mask_alone() -> None:
    condition = replace(make_condition(), visible={7: 0.05, 3: 0.6})
    labels = map_labels(condition, LabelSpec(min_area=60, min_visible=0.1), earthsynth())
    assert [(item.category, item.visible) for item in labels.instances] == [(SHIP, 0.6)]
    assert np.array_equal(labels.semantic, condition.mask)
    assert set(np.unique(labels.instance_map)) == {0, 1}


def test_without_ids_of_its_own_every_region_of_a_thing_is_an_instance() -> None:
    labels = map_labels(replace(make_condition(), known_instances=False), LOOSE, earthsynth())
    assert sorted(item.category for item in labels.instances) == [SHIP, SHIP, SHIP, TANK]


def test_land_cover_has_no_instances_even_where_the_source_numbers_it() -> None:
    condition = make_condition()
    numbered = np.where(condition.mask == WATER, 40, condition.instances).astype(np.uint16)
    labels = map_labels(replace(condition, instances=numbered), LOOSE, earthsynth())
    assert WATER not in {item.category for item in labels.instances}
    assert len(labels.instances) == 3


def test_an_image_of_water_has_classes_and_no_instances() -> None:
    labels = map_labels(make_condition(things=False), LOOSE, earthsynth())
    assert (labels.instances, labels.classes, labels.instance_map.max()) == ((), (WATER,), 0)
