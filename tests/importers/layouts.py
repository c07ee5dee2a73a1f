"""Small imitations of each published layout: 64 × 96 pixels of a real tile (Dubai), with a known truth."""

from __future__ import annotations

import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

H, W = 64, 96
TILES = Path(__file__).parents[1] / "data" / "dubai" / "images"


def image(path: Path, seed: int = 0, height: int = H, width: int = W) -> Path:
    """A piece of a real tile; another one for every seed."""
    tile = _tile()
    top, left = (
        int(np.random.default_rng((seed, axis)).integers(0, tile.shape[axis] - size))
        for axis, size in enumerate((height, width))
    )
    return put(path, tile[top : top + height, left : left + width])


@cache
def _tile() -> np.ndarray:
    found = cv2.imread(str(sorted(TILES.iterdir())[0]))
    assert found is not None
    return found[..., ::-1]


def put(path: Path, pixels: np.ndarray) -> Path:
    """Write RGB or grey pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def stripes(values: list[Any], height: int = H, width: int = W) -> np.ndarray:
    """Vertical stripes of equal width, one for each value."""
    table = np.array(values, np.uint8)
    return table[np.arange(width) * len(values) // width][None].repeat(height, 0)


def openearthmap(root: Path) -> Path:
    for number in (1, 2):
        put(root / "aachen" / "labels" / f"aachen_{number}.tif", stripes([0, 1, 4, 8]))
        image(root / "aachen" / "images" / f"aachen_{number}.tif", number)
    put(root / "palu" / "labels" / "palu_7.tif", stripes([1]))  # its image is one of xBD's
    text(root / "val.txt", "aachen_2.tif\n")
    return root


def loveda(root: Path) -> Path:
    put(root / "Train" / "Train" / "Rural" / "masks_png" / "3.png", stripes([0, 1, 2, 7]))
    image(root / "Train" / "Train" / "Rural" / "images_png" / "3.png")
    return root


def deepglobe(root: Path) -> Path:
    colours = [(0, 255, 255), (255, 255, 255), (0, 0, 0), (255, 0, 255)]
    put(root / "train" / "11_mask.png", stripes(colours))
    image(root / "train" / "11_sat.jpg")
    put(root / "train" / "12_mask.png", stripes([(255, 255, 255), (0, 0, 0)]))  # barren and unknown, not road
    image(root / "train" / "12_sat.jpg", 1)
    road = stripes([(0, 0, 0), (120, 120, 120), (128, 128, 128), (255, 255, 255)], 32, 64)
    put(root / "road" / "train" / "13_mask.png", road)
    image(root / "road" / "train" / "13_sat.jpg", 2, 32, 64)
    return root


def box_mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    whole = np.zeros((H, W), np.uint8)
    whole[top:bottom, left:right] = 1
    return whole


def samrs(root: Path) -> Path:
    gray = np.full((H, W), 255, np.uint8)
    gray[8:20, 10:30], gray[40:60, 50:90] = 13, 4  # storage-tank, plane
    put(root / "SOTA" / "train" / "gray" / "P1__1024__0___0.png", gray)
    image(root / "SOTA" / "train" / "images" / "P1__1024__0___0.png")
    objects = [
        {
            "mask": rle(box_mask(10, 8, 30, 20)),
            "category": "storage-tank",
            "label": 13,
            "bbox": np.float32([10, 8, 30, 20]),
        },
        {"mask": rle(box_mask(50, 40, 90, 60)), "category": 4, "label": 4, "size": np.int64(800)},
    ]
    path = root / "SOTA" / "train" / "ins" / "P1__1024__0___0.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(objects))
    return root


def rle(mask: np.ndarray) -> dict[str, Any]:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def coco_document(**changes: Any) -> dict[str, Any]:
    """A polygon, a compressed RLE, a crowd as plain counts, and a bare box."""
    crowd = box_mask(0, 0, 4, 64).T.ravel()
    counts = [0, int(crowd[: 4 * H].sum()), H * W - 4 * H]
    return {
        "images": [{"id": 5, "file_name": "a.png", "height": H, "width": W}],
        "categories": [{"id": 3, "name": "storage-tank"}, {"id": 9, "name": "airplane"}],
        "annotations": [
            _annotation(1, 3, [[20.0, 10.0, 40.0, 10.0, 40.0, 30.0, 20.0, 30.0]], [20, 10, 20, 20]),
            _annotation(2, 9, rle(box_mask(60, 30, 90, 50)), [60, 30, 30, 20]),
            _annotation(3, 9, {"size": [H, W], "counts": counts}, [0, 0, 4, 64], crowd=1),
            _annotation(4, 3, [], [50.0, 5.0, 8.0, 6.0]),
        ],
        **changes,
    }


def _annotation(identity: int, category: int, segmentation: Any, box: list[float], crowd: int = 0) -> dict[str, Any]:
    return {
        "id": identity,
        "image_id": 5,
        "category_id": category,
        "segmentation": segmentation,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": crowd,
    }


def coco_folder(root: Path, document: dict[str, Any] | None = None) -> Path:
    image(root / "images" / "a.png")
    text(root / "annotations" / "instances_train.json", json.dumps(document or coco_document()))
    return root


def lae(root: Path) -> Path:
    image(root / "LAE-FOD" / "DIOR" / "JPEGImages-trainval" / "b.png")
    document = {
        "images": [{"id": 1, "file_name": "b.png", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "storagetank"}],
        "annotations": [{"id": 77, "image_id": 1, "category_id": 1, "bbox": [10, 12, 20, 16]}],
    }
    text(root / "LAE-FOD" / "DIOR" / "processed_LAE-1M_DIOR_train.json", json.dumps(document))
    image(root / "LAE-COD" / "AID" / "images" / "c.png", 1)
    instances = [{"bbox": [1, 2, 11, 22], "category": "ship", "likelihood": 0.5}]
    line = {"filename": "c.png", "height": H, "width": W, "detection": {"instances": instances}}
    text(root / "LAE-COD" / "AID" / "aid.jsonl", json.dumps(line) + "\n")
    return root


def dota(root: Path) -> Path:
    image(root / "train" / "images" / "P0001.png")
    lines = [
        "imagesource:GoogleEarth",
        "gsd:0.5",
        "20 10 40 10 40 30 20 30 storage-tank 0",
        "60 30 75 15 90 30 75 45 plane 1",
    ]
    text(root / "train" / "labelTxt" / "P0001.txt", "\n".join(lines) + "\n")
    return root


def dior(root: Path) -> Path:
    image(root / "JPEGImages-trainval" / "00001.jpg")
    corners = {"left_top": (20, 10), "right_top": (40, 10), "right_bottom": (40, 30), "left_bottom": (20, 30)}
    inner = "".join(f"<x_{name}>{x}</x_{name}><y_{name}>{y}</y_{name}>" for name, (x, y) in corners.items())
    xml = f"<annotation><object><name>Expressway-Service-area</name><robndbox>{inner}</robndbox></object></annotation>"
    text(root / "Annotations" / "Oriented Bounding Boxes" / "00001.xml", xml)
    text(root / "ImageSets" / "Main" / "val.txt", "00001\n")
    return root


def voc(root: Path) -> Path:
    image(root / "VOC2012" / "JPEGImages" / "x.jpg")
    box = "<bndbox><xmin>21</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    xml = f"<annotation><object><name>ship</name><difficult>1</difficult>{box}</object></annotation>"
    text(root / "VOC2012" / "Annotations" / "x.xml", xml)
    return root


def isaid(root: Path) -> Path:
    mask, numbers = np.zeros((H, W, 3), np.uint8), np.zeros((H, W, 3), np.uint8)
    mask[10:30, 20:40], numbers[10:30, 20:40] = (0, 63, 63), (7, 0, 0)
    mask[10:30, 40:60], numbers[10:30, 40:60] = (0, 63, 63), (0, 9, 0)  # touches the first
    put(root / "train" / "Semantic_masks" / "images" / "P5_instance_color_RGB.png", mask)
    put(root / "train" / "Instance_masks" / "images" / "P5_instance_id_RGB.png", numbers)
    image(root / "train" / "images" / "P5.png")
    return root


def yolo(root: Path) -> Path:
    for name in ("box", "polygon", "empty"):
        image(root / "images" / "val" / f"{name}.png", len(name))
    text(root / "labels" / "val" / "box.txt", f"1 {30 / W} {20 / H} {20 / W} {20 / H}\n")
    corners = [(20, 10), (40, 10), (40, 30), (20, 30)]
    text(root / "labels" / "val" / "polygon.txt", "0 " + " ".join(f"{x / W} {y / H}" for x, y in corners) + "\n")
    text(root / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [ship, no-such-thing]\n")
    return root


def masks(root: Path) -> Path:
    put(root / "masks" / "m.png", stripes([0, 1, 2]))
    image(root / "images" / "m.jpg")
    text(root / "classes.json", json.dumps({"0": "background", "1": "road", "2": "buildings"}))
    return root


def earthsynth(root: Path) -> Path:
    mask = np.zeros((H, W), np.uint8)
    mask[10:30, 20:40], mask[40:, :] = 25, 4
    put(root / "train" / "masks" / "SIOR_07349_0.png", mask)
    image(root / "train" / "images" / "SIOR_07349_0.png")
    put(root / "train" / "masks" / "DG_5_1.png", np.zeros((H, W), np.uint8))
    image(root / "train" / "images" / "DG_5_1.png", 1)
    return root


def dubai(root: Path) -> Path:
    for number, tile in enumerate(("Tile 1", "Tile 2")):
        mask = stripes([(0x3C, 0x10, 0x98), (0x6E, 0xC1, 0xE4), (0x9B, 0x9B, 0x9B)])
        put(root / tile / "masks" / "image_part_001.png", mask)
        image(root / tile / "images" / "image_part_001.jpg", number)
    return root


def gid(root: Path) -> Path:
    put(root / "labels" / "water_1.png", stripes([0, 1, 2, 3, 4, 5], 224, 224))
    image(root / "images" / "water_1.jpg", 0, 224, 224)
    return root


def kit_ais(root: Path) -> Path:
    text(root / "classes.txt", "car\ntruck\nbus\nminibus\ncyclist\n")
    image(root / "MOS1.jpg")
    lines = [
        f"0 {30 / W} {20 / H} {20 / W} {20 / H}",
        f"2 {70 / W} {40 / H} {30 / W} {10 / H}",
        f"4 {5 / W} 0.5 0.05 0.05",
    ]
    text(root / "MOS1.txt", "\n".join(lines) + "\n")
    return root


def nwpu(root: Path) -> Path:
    images = [
        {"id": 0, "file_name": "001.jpg", "height": H, "width": W},
        {"id": 1, "file_name": "400.jpg", "height": H, "width": W},
    ]
    for one in images:
        image(root / "imgs" / str(one["file_name"]))
    court = {"id": 0, "image_id": 0, "category_id": 2, "segmentation": [[10, 10, 58, 10, 58, 34, 10, 34]], "area": 1152}
    car = {"id": 1, "image_id": 0, "category_id": 1, "segmentation": [[70, 40, 80, 40, 80, 45, 70, 45]], "area": 50}
    others = [
        "airplane",
        "ship",
        "storage_tank",
        "baseball_diamond",
        "basketball_court",
        "ground_track_field",
        "harbor",
        "bridge",
    ]
    names = [{"id": number, "name": name} for number, name in enumerate(["vehicle", "tennis_court", *others], start=1)]
    document = {"images": images, "annotations": [court, car], "categories": names}
    text(root / "annotations" / "instances_train.json", json.dumps(document))
    return root


BOX = (20, 10, 40, 30)
"""Left, top, right, bottom of the one ship that the following hold; 400 pixels."""

CORNERS = [(20, 10), (40, 10), (40, 30), (20, 30)]


def odvg(root: Path) -> Path:
    image(root / "train" / "a.png")
    instances = [{"bbox": BOX, "label": 0, "category": "ship"}]
    line = {"filename": "a.png", "height": H, "width": W, "detection": {"instances": instances}}
    text(root / "annotations" / "train_od.json", json.dumps(line) + "\n")
    text(
        root / "annotations" / "train_vg.json",
        json.dumps({**line, "grounding": {"caption": ""}, "detection": 0}) + "\n",
    )
    return root


def panoptic(root: Path) -> Path:
    image(root / "train2017" / "a.jpg")
    numbers = np.zeros((H, W, 3), np.uint8)
    numbers[10:30, 20:40], numbers[40:] = (5, 1, 0), (0, 0, 1)
    put(root / "annotations" / "panoptic_train2017" / "a.png", numbers)
    segments = [{"id": 261, "category_id": 1, "iscrowd": 0}, {"id": 65536, "category_id": 2, "iscrowd": 0}]
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": H, "width": W}],
        "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "ship", "isthing": 1}, {"id": 2, "name": "water", "isthing": 0}],
    }
    text(root / "annotations" / "panoptic_train2017.json", json.dumps(document))
    return root


def cvat(root: Path) -> Path:
    for name in ("a", "b"):
        image(root / "images" / f"{name}.jpg", ord(name))
    left, top, right, bottom = BOX
    box = f'<box label="ship" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
    points, size = '<points label="ship" points="1,1"/>', f'width="{W}" height="{H}"'
    images = f'<image name="a.jpg" {size}>{box}{points}</image><image name="b.jpg" {size}/>'
    text(root / "annotations.xml", f"<annotations><version>1.1</version>{images}</annotations>")
    return root


def label_studio(root: Path) -> Path:
    image(root / "images" / "0badcafe-a.png")
    left, top, right, bottom = BOX
    value = {
        "x": left / W * 100,
        "y": top / H * 100,
        "width": (right - left) / W * 100,
        "height": (bottom - top) / H * 100,
    }
    result = {
        "original_width": W,
        "original_height": H,
        "type": "rectanglelabels",
        "value": {**value, "rectanglelabels": ["ship"]},
    }
    tasks = [
        {"id": 1, "annotations": [{"result": [result]}], "data": {"image": "/data/upload/1/0badcafe-a.png"}},
        {"id": 2, "annotations": [], "data": {"image": "/data/upload/1/0badcafe-b.png"}},
    ]
    text(root / "project-1.json", json.dumps(tasks))
    return root


def labelme(root: Path) -> Path:
    image(root / "a.jpg")
    shape = {"label": "ship", "points": [BOX[:2], BOX[2:]], "shape_type": "rectangle", "group_id": None}
    line = {"label": "ship", "points": [[1, 1], [2, 2]], "shape_type": "line"}
    document = {"shapes": [shape, line], "imagePath": "..\\pictures\\a.jpg", "imageHeight": H, "imageWidth": W}
    text(root / "a.json", json.dumps(document))
    return root


def via(root: Path) -> Path:
    image(root / "a.jpg")
    shape = {"name": "polygon", "all_points_x": [x for x, _ in CORNERS], "all_points_y": [y for _, y in CORNERS]}
    region = {"shape_attributes": shape, "region_attributes": {"class": "ship"}}
    entry = {"filename": "a.jpg", "size": 9, "regions": [region], "file_attributes": {}}
    text(root / "via_region_data.json", json.dumps({"a.jpg9": entry}))
    return root


def vectors(root: Path) -> Path:
    import rasterio
    from rasterio.transform import from_origin

    path = root / "images" / "img1.tif"
    path.parent.mkdir(parents=True)
    profile = {"driver": "GTiff", "height": H, "width": W, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", crs="EPSG:32633", transform=from_origin(500000, 5000000, 0.5, 0.5), **profile
    ) as file:
        file.write(np.moveaxis(_tile()[:H, :W], -1, 0))
    ring = [(500000 + x * 0.5, 5000000 - y * 0.5) for x, y in (*CORNERS, CORNERS[0])]
    feature = {
        "type": "Feature",
        "properties": {"building": "yes"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    document = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    text(root / "geojson_buildings" / "img1.geojson", json.dumps(document))
    return root


def fair1m(root: Path) -> Path:
    image(root / "train" / "part1" / "images" / "0.tif")
    points = "".join(f"<point>{x}.0,{y}.0</point>" for x, y in (*CORNERS, CORNERS[0]))
    inner = f"<possibleresult><name>Liquid Cargo Ship</name></possibleresult><points>{points}</points>"
    xml = f"<annotation><objects><object>{inner}</object></objects></annotation>"
    text(root / "train" / "part1" / "labelXml" / "0.xml", xml)
    return root


def hrsc2016(root: Path) -> Path:
    image(root / "FullDataSet" / "AllImages" / "100000001.bmp")
    inner = "<mbox_cx>30</mbox_cx><mbox_cy>20</mbox_cy><mbox_w>20</mbox_w><mbox_h>20</mbox_h><mbox_ang>0.0</mbox_ang>"
    objects = f"<HRSC_Objects><HRSC_Object>{inner}</HRSC_Object></HRSC_Objects>"
    xml = f"<HRSC_Image><Img_Resolution>1.07</Img_Resolution>{objects}</HRSC_Image>"
    text(root / "FullDataSet" / "Annotations" / "100000001.xml", xml)
    text(root / "ImageSets" / "test.txt", "100000001\n")
    return root


def xview(root: Path) -> Path:
    image(root / "train_images" / "100.tif")
    about = {"bounds_imcoords": ",".join(map(str, BOX)), "image_id": "100.tif"}
    features = [{"type": "Feature", "properties": {**about, "type_id": number}} for number in (40, 94)]
    text(root / "xView_train.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    return root


def xbd(root: Path) -> Path:
    name = "santa-rosa_00000001_post_disaster"
    image(root / "train" / "images" / f"{name}.png")
    ring = ", ".join(f"{x} {y}" for x, y in (*CORNERS, CORNERS[0]))
    about = {"feature_type": "building", "subtype": "destroyed"}
    features = {"xy": [{"properties": about, "wkt": f"POLYGON (({ring}))"}]}
    metadata = {"gsd": 1.5, "width": W, "height": H, "original_width": W, "disaster": "santa-rosa"}
    text(root / "train" / "labels" / f"{name}.json", json.dumps({"features": features, "metadata": metadata}))
    return root


def visdrone(root: Path) -> Path:
    home = root / "VisDrone2019-DET-val"
    image(home / "images" / "0000001_02999_d_0000005.jpg")
    rows = ["20,10,20,20,1,4,0,0", "60,30,10,10,1,1,0,0", "0,50,96,14,0,0,0,0"]  # car, pedestrian, ignored region
    text(home / "annotations" / "0000001_02999_d_0000005.txt", "\n".join(rows) + "\n")
    return root


def ucas_aod(root: Path) -> Path:
    image(root / "PLANE" / "P0001.png")
    corners = "\t".join(f"{value}.0" for corner in CORNERS for value in corner)
    text(root / "PLANE" / "P0001.txt", f"{corners}\t0.0\t20\t10\t20\t20\n")
    image(root / "Neg" / "P0001.png", 1)
    return root


def landdiscover(root: Path) -> Path:
    put(root / "LandDiscover50K" / "GT_ID" / "x.png", stripes([0, 8, 4, 255]))
    image(root / "LandDiscover50K" / "TR_Image" / "x.png")
    return root


def prepared(root: Path) -> Path:
    from earthsynth_factory.importers.crops import CropRules
    from earthsynth_factory.importers.prepare import PrepareOptions, prepare

    source = coco_folder(root.with_name(f"{root.name}-source"))
    prepare(source, root, PrepareOptions("coco", CropRules(0), workers=1))
    return root


ALL = {
    "openearthmap": openearthmap,
    "loveda": loveda,
    "deepglobe": deepglobe,
    "samrs": samrs,
    "coco": coco_folder,
    "lae": lae,
    "dota": dota,
    "dior": dior,
    "voc": voc,
    "isaid": isaid,
    "yolo": yolo,
    "masks": masks,
    "earthsynth-180k": earthsynth,
    "dubai": dubai,
    "gid": gid,
    "kit_ais": kit_ais,
    "nwpu": nwpu,
    "prepared": prepared,
    "odvg": odvg,
    "coco-panoptic": panoptic,
    "cvat": cvat,
    "label-studio": label_studio,
    "labelme": labelme,
    "via": via,
    "vectors": vectors,
    "fair1m": fair1m,
    "hrsc2016": hrsc2016,
    "xview": xview,
    "xbd": xbd,
    "visdrone": visdrone,
    "ucas-aod": ucas_aod,
    "landdiscover50k": landdiscover,
}
"""Kind → what makes its imitation."""
