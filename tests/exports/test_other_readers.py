"""COCO and VOC exports under the readers that trainers use, and a detector trained on one."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CocoDetection, VOCDetection
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.transforms.functional import to_tensor

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.semantic import SemanticSpec
from earthsynth_factory.exports.voc import VocSpec
from tests.exports.stores import read, write
from tests.making import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildReader:
    return BuildReader(make_store(tmp_path_factory.mktemp("store")))


def _coco_detection(out: Path, split: str = "train") -> CocoDetection:
    root = out / "coco"
    with contextlib.redirect_stdout(io.StringIO()):
        return CocoDetection(root / split, root / "annotations" / f"instances_{split}.json")


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_faster_coco_eval_scores_the_truth_one(store: BuildReader, tmp_path: Path, kind: str) -> None:
    library = pytest.importorskip("faster_coco_eval")
    write(store, tmp_path, CocoSpec())
    truth = library.COCO(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    found = truth.loadRes([{**item, "score": 0.9} for item in truth.dataset["annotations"]])
    judged = library.COCOeval_faster(truth, found, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)


def test_torchvision_reads_coco(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, CocoSpec())
    records = [record for record in store.samples() if record.split == "train"]
    data = _coco_detection(tmp_path)
    assert len(data) == len(records)
    for (image, objects), record in zip(data, records, strict=True):
        assert np.array_equal(np.asarray(image), store.image(record))
        assert [found["bbox"] for found in objects] == [list(one.box) for one in record.instances]


def test_torchvision_reads_voc_once_images_are_called_jpg(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path / "VOCdevkit", VocSpec())
    (tmp_path / "VOCdevkit" / "voc").rename(tmp_path / "VOCdevkit" / "VOC2012")
    # This reader puts `.jpg` behind every stem, whatever the annotation says; what the file holds it does not mind.
    for path in (tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages").iterdir():
        path.rename(path.with_suffix(".jpg"))
    data = VOCDetection(tmp_path, year="2012", image_set="train")
    records = [record for record in store.samples() if record.split == "train"]
    for (image, about), record in zip(data, records, strict=True):
        assert np.array_equal(np.asarray(image), store.image(record))
        boxes = [found["bndbox"] for found in about["annotation"].get("object", [])]
        assert [[int(box[key]) for key in ("xmin", "ymin", "xmax", "ymax")] for box in boxes] == [
            [x + 1, y + 1, x + width, y + height] for x, y, width, height in (one.box for one in record.instances)
        ]


@pytest.mark.slow
def test_mask_rcnn_learns_from_the_coco_export(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, CocoSpec())
    torch.manual_seed(0)
    data = _coco_detection(tmp_path)
    model = MaskRCNN(
        _backbone(8),
        num_classes=70,
        min_size=64,
        max_size=64,
        rpn_anchor_generator=AnchorGenerator(((8, 16, 32),), ((0.5, 1.0, 2.0),)),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)
    losses = []
    for _ in range(6):
        total = 0.0
        for image, objects in data:
            loss = sum(model([to_tensor(image)], [_target(data, objects, image.size)]).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss)
        losses.append(total)
    assert all(np.isfinite(losses))
    assert losses[-1] < losses[0]


def _backbone(channels: int) -> torch.nn.Module:
    layers = [torch.nn.Conv2d(3, channels, 3, stride=2, padding=1), torch.nn.ReLU()]
    backbone = torch.nn.Sequential(*layers, torch.nn.Conv2d(channels, channels, 3, stride=2, padding=1))
    backbone.out_channels = channels  # type: ignore[assignment]  # what MaskRCNN asks a backbone for
    return backbone


def _target(data: CocoDetection, objects: list[dict], size: tuple[int, int]) -> dict[str, torch.Tensor]:  # type: ignore[type-arg]
    boxes = torch.tensor([found["bbox"] for found in objects], dtype=torch.float32).reshape(-1, 4)
    masks = [data.coco.annToMask(found) for found in objects] or np.zeros((0, size[1], size[0]), np.uint8)
    return {
        "boxes": torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1),
        "labels": torch.tensor([found["category_id"] for found in objects], dtype=torch.int64),
        "masks": torch.as_tensor(np.asarray(masks)),
    }


@pytest.mark.slow
def test_a_segmenter_learns_from_the_semantic_export(store: BuildReader, tmp_path: Path) -> None:
    write(store, tmp_path, SemanticSpec())
    torch.manual_seed(0)
    root = tmp_path / "semantic"
    pairs = [(path, root / "ann_dir" / "train" / path.name) for path in sorted((root / "img_dir" / "train").iterdir())]
    images = torch.stack([torch.tensor(read(image).copy()).permute(2, 0, 1) / 255 for image, _ in pairs])
    palette = torch.tensor(
        [[row] for row in np.unique(np.concatenate([read(m).reshape(-1, 3) for _, m in pairs]), axis=0)]
    )
    masks = torch.stack(
        [(torch.tensor(read(m).copy())[None] == palette[:, None]).all(-1).int().argmax(0) for _, m in pairs]
    )
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 9, padding=4), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(model(images), masks.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]
