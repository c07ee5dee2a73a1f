"""Labels are read from the condition the image was made for: they are the truth, not a detector's opinion."""

from __future__ import annotations

import numpy as np

from earthsynth_factory.domain.condition import Condition, InstanceMap
from earthsynth_factory.domain.sample import Instance, Labels
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.geometry.boxes import boxes_and_areas
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.rle import encode_all


class LabelSpec(Spec):
    """Which objects are labelled. What is left out stays in the semantic mask."""

    min_area: int = Field(default=16, ge=1)
    """Objects of fewer pixels get no label of their own."""
    min_visible: float = Field(default=0.2, ge=0, le=1)
    """Objects of which a smaller share is seen (occlusion, border) get no label of their own."""


def map_labels(condition: Condition, spec: LabelSpec, taxonomy: Taxonomy) -> Labels:
    """The labels of a condition.

    Objects are the condition's own where its source knows them, else connected components; land cover (categories that
    are no things) has none. They are numbered 1 … n in the order of the source's ids.
    """
    things = [category.id for category in taxonomy if category.thing]
    own = condition.instances if condition.known_instances else components(condition.mask, things)
    ids, boxes, areas = boxes_and_areas(own)
    classes = _class_of(ids, own, condition)
    visible = np.array([condition.visible.get(int(number), 1.0) for number in ids])
    wanted = np.isin(classes, things) & (areas >= spec.min_area) & (visible >= spec.min_visible)
    renumbered = np.zeros(int(ids.max(initial=0)) + 1, np.uint16)
    renumbered[ids[wanted]] = np.arange(1, wanted.sum() + 1)
    numbered = renumbered[own]
    runs = encode_all(numbered[None] == np.arange(1, wanted.sum() + 1)[:, None, None])
    height, width = own.shape
    instances = tuple(
        Instance(
            id=number,
            category=int(classes[at]),
            box=(int(boxes[at, 0]), int(boxes[at, 1]), int(boxes[at, 2]), int(boxes[at, 3])),
            area=int(areas[at]),
            rle=runs[number - 1],
            visible=round(float(visible[at]), 4),
            truncated=bool(_touches_border(boxes[at].tolist(), height, width)),
        )
        for number, at in enumerate(np.flatnonzero(wanted), start=1)
    )
    return Labels(instances, numbered, condition.mask, tuple(condition.classes()))


def _class_of(ids: np.ndarray, own: InstanceMap, condition: Condition) -> np.ndarray:
    """(N,) class id of each instance id; all pixels of an instance have one class."""
    found = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
    found[own] = condition.mask
    return found[ids]


def _touches_border(box: list[int], height: int, width: int) -> bool:
    x, y, box_width, box_height = box
    return x == 0 or y == 0 or x + box_width == width or y + box_height == height
