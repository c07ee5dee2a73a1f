"""The commented starters that `recipe init` writes, one for each thing people come for. Each is valid as it stands, and its
model has learnt every class in it.
"""

HEAD = """\
# A recipe for earthsynth-factory: {what}.
#   look at what it would make:  earthsynth-factory plan {file}
#   make it:                     earthsynth-factory build {file}
# Every key: earthsynth-factory recipe schema. Every class: earthsynth-factory recipe categories.

"""

TAIL = """\
rfilter: # left out here, `rules` are those of `filter`, held to what real images score
  candidates: 4 # images made for a mask; the best that passes is kept
  max_attempts: {attempts} # images made before a place in the dataset stays empty, which is reported; may be raised later

"""

MODEL = """\
synthesis:
  model: embedded # runs on a CPU, 128 pixels, 19 classes; `earthsynth` is the full model (a GPU, 512 pixels); or a folder
"""

YOLO = f"""{HEAD}name: objects to detect
seed: 7 # the same seed, recipe and models make the same dataset

image: {{size: 128, metres_per_pixel: 0.8}} # 512 for `model: earthsynth`

# count: images that must contain the class. The embedded model draws objects best alone or on water, each at a scale of its
# own: hence `context: []` (nothing else in the mask) and metres_per_pixel by class; with `earthsynth` leave both out.
categories:
  - {{name: storage tank, count: 40, instances: 2..8, metres_per_pixel: 0.5..0.9, context: []}}
  - {{name: plane, count: 40, instances: 1..3, size: 30..55, metres_per_pixel: 0.5..0.7, context: []}}
  - {{name: ship, count: 40, instances: 1..4, metres_per_pixel: 0.5..0.8, context: [water]}}
  # A class of your own needs one of id, color or thing; the model must have learnt it to draw it.
  # - {{name: solar panel, count: 20, color: "#3040a0", words: field of solar panels, size: 8..20}}
negatives: 10 # images with none of the classes above

conditions: # where masks come from; several sources are drawn by weight
  - {{kind: procedural, background: sparse}} # drawn to scale, needs no data

{MODEL}
{TAIL}labels: {{classes: targets, min_area: 12}} # the export has the classes asked for alone; specks are no objects
splits: {{train: 0.8, val: 0.2}}
exports: [yolo-detect, coco]
"""

RARE = f"""{HEAD}name: more of a rare class
seed: 7 # the same seed, recipe and models make the same dataset

image: {{size: 128, metres_per_pixel: 0.8}} # 512 for `model: earthsynth`

# Put your class here if the model knows it: `plan` says so if not. Images of a class that no model has learnt would have
# its label and show anything; train one first (recipes/finetune_own_classes.yaml).
categories:
  - {{name: baseball diamond, count: 60, instances: 1..2, context: []}}
  - {{name: ground track field, count: 60, instances: 1, metres_per_pixel: 1.5..1.9, context: []}}
negatives: 20 # images without it, so that a detector learns what it is not

conditions: # where masks come from; several sources are drawn by weight
  - {{kind: procedural, background: sparse}} # drawn to scale, needs no data
  # - {{kind: compose, path: my_masks, weight: 2}} # the few examples you have: cut out, turned, placed anew

{MODEL}
{TAIL}labels: {{classes: targets, min_area: 12}} # the export has the classes asked for alone; specks are no objects
splits: {{train: 0.8, val: 0.2}}
exports: [coco, yolo-detect]
"""

LAND_COVER = f"""{HEAD}name: land cover
seed: 7 # the same seed, recipe and models make the same dataset

image: {{size: 128, metres_per_pixel: 0.8}} # 512 for `model: earthsynth`

categories: # count: images that must contain the class; the other classes of a mask are labelled too
  - {{name: water, count: 40}}
  - {{name: agriculture land, count: 40}}
  - {{name: forest land, count: 40}}
  - {{name: bare land, count: 40}}

conditions: # where masks come from; several sources are drawn by weight
  - {{kind: procedural, background: sparse}} # drawn to scale, needs no data
  # - {{kind: dataset, path: my_masks, weight: 3}} # masks of real places, cropped, turned and mirrored

{MODEL}
{TAIL}splits: {{train: 0.7, val: 0.2, test: 0.1}}
exports:
  - {{kind: semantic, ignore_background: true}}
"""

OWN_MASKS = f"""{HEAD}name: images for my masks
seed: 7 # the same seed, recipe and models make the same dataset

image: {{size: 128, metres_per_pixel: 0.8}} # 512 for `model: earthsynth`

categories: # count: images that must contain the class
  - {{name: ship, count: 40}}
negatives: 0

conditions:
  # A folder of PNG masks, one class id a pixel, beside this file; or what `prepare` wrote. `classes` says what their ids
  # mean; without it they are EarthSynth's (17 is a ship). metres_per_pixel: of the masks, so that scales are kept.
  - {{kind: dataset, path: my_masks, classes: {{1: ship}}, metres_per_pixel: 0.8}}
  # - {{kind: compose, path: my_masks, classes: {{1: ship}}}} # objects cut from them, placed anew

{MODEL}
{TAIL}splits: {{train: 0.8, val: 0.2}} # a mask feeds one split alone, so there must be several
exports: [coco, semantic]
"""

STARTERS = {"yolo": YOLO, "rare-class": RARE, "land-cover": LAND_COVER, "own-masks": OWN_MASKS}
"""What it is for → the recipe, with places for {file}, {what} and {attempts}."""

WHAT = {
    "yolo": "objects to detect, for YOLO and COCO trainers",
    "rare-class": "more images of a class that real data have too few of",
    "land-cover": "segmentation of land cover",
    "own-masks": "images for masks that you have",
}
"""What it is for → in words."""


def starter(purpose: str, file: str) -> str:
    """The starter for a purpose, as it is written to `file`."""
    return STARTERS[purpose].replace("{what}", WHAT[purpose]).replace("{file}", file).replace("{attempts}", "16")
