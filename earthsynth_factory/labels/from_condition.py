"""Labels are read from the condition the image was made for: they are the truth, not a detector's opinion.

EarthSynth's label mapping (framework figure): text label = class, mask label = the condition's mask, box label = the tight
rectangle of each instance. The thresholds are ours.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from earthsynth_factory.domain.condition import Condition, InstanceMap
from earthsynth_factory.domain.masks import renumbered
from earthsynth_factory.domain.sample import Instance, Labels
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field, Spec
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.geometry import rle
from earthsynth_factory.geometry.boxes import tight_boxes, touches_border
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import find_runs


class LabelSpec(Spec):
    """Which objects are labelled. What is left out stays in the semantic mask."""

    min_area: int = Field(default=4, ge=1, strict=True)
    """Objects of fewer pixels get no label of their own."""
    min_visible: float = Field(default=0.1, ge=0, le=1)
    """Objects of which a smaller share is seen (occlusion, border) get no label of their own."""
    classes: Literal["all", "targets"] = Field(default="all", json_schema_extra=NOT_IN_FINGERPRINT)
    """Which classes exports have: all that the masks show, or `targets`, those that images are asked for; the masters and
    what is looked at have all."""


def map_labels(condition: Condition, spec: LabelSpec, taxonomy: Taxonomy) -> Labels:
    """The labels of an image made for `condition`. Land cover gives no instances.

    Instances are the condition's own where it knows them, else the 8-connected regions of each thing class; they are
    numbered 1 … n in the order of their old ids. Objects below the spec's limits are no instances, yet the semantic mask
    keeps their pixels: the picture shows the class there, whoever it belongs to. Raises InputError if the mask has a
    class that the taxonomy lacks.
    """
    things = things_of(condition, taxonomy)
    runs = find_runs(things)
    boxes, areas = tight_boxes(runs), runs.areas()
    visible = np.array([condition.visible.get(int(old), 1.0) if condition.known_instances else 1.0 for old in runs.ids])
    classes = condition.mask[runs.corners()]
    truncated = touches_border(boxes, *condition.mask.shape)
    texts = rle.encode_runs(runs)
    kept = np.flatnonzero((areas >= spec.min_area) & (visible >= spec.min_visible))
    instances = tuple(
        Instance(
            id=number,
            category=int(classes[index]),
            box=(int(boxes[index, 0]), int(boxes[index, 1]), int(boxes[index, 2]), int(boxes[index, 3])),
            area=int(areas[index]),
            rle=texts[index],
            visible=round(float(visible[index]), 4),
            truncated=bool(truncated[index]),
        )
        for number, index in enumerate(kept, start=1)
    )
    numbers = np.zeros(int(runs.ids.max(initial=0)) + 1, np.uint16)
    numbers[runs.ids[kept]] = np.arange(1, len(kept) + 1)
    return Labels(instances, renumbered(things, numbers), condition.mask, tuple(condition.classes()))


def things_of(condition: Condition, taxonomy: Taxonomy) -> InstanceMap:
    """(H, W) ids of the objects: the condition's own, or connected regions; 0 on land cover."""
    things = [class_id for class_id in condition.classes() if taxonomy[class_id].thing]
    if not condition.known_instances:
        return components(condition.mask, things)
    is_thing = np.zeros(256, np.uint8)
    is_thing[things] = 1
    return np.asarray(condition.instances * cv2.LUT(condition.mask, is_thing), dtype=np.uint16)
