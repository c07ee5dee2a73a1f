"""The commented starter that `recipe init` writes. It is valid as it stands."""

STARTER = """\
# A recipe for earthsynth-factory.
#   look at what it would make:  earthsynth-factory plan recipe.yaml
#   make it:                     earthsynth-factory build recipe.yaml
# Every key: earthsynth-factory recipe schema. Every class: earthsynth-factory recipe categories.

name: my first dataset
seed: 7 # the same seed, recipe and models make the same dataset

image:
  size: 128 # pixels: one number, or [height, width]; 512 for `model: earthsynth`
  metres_per_pixel: 0.5..1.0 # a number, or a range drawn from image by image

categories: # count: images that must contain the class
  - {name: storage tank, count: 40, instances: 2..12}
  - {name: plane, count: 40, context: [pavement, grass]}
  - {name: water, count: 20}
  # A class of your own needs one of id, color or thing; `words` is what the prompt says for it.
  # - {name: solar panel, count: 20, color: "#3040a0", words: field of solar panels, size: 8..20}
negatives: 10 # images with none of the classes above

conditions: # where masks come from; several sources are drawn by weight
  - {kind: procedural, weight: 1} # drawn to scale, needs no data
  # - {kind: dataset, path: my_masks, weight: 2} # masks of a folder, cropped, turned and mirrored
  # - {kind: compose, path: my_masks, weight: 1} # objects cut from a folder, placed anew

synthesis:
  model: embedded # runs on a CPU; `earthsynth` is the full model; or a folder; or hub ids

rfilter:
  candidates: 2 # images made for a mask; the best that passes is kept
  max_attempts: 8 # images made before a place in the dataset stays empty, which is reported
  rules:
    - image_quality # flat, saturated or blurred images
    - {kind: clip_score, rank: 1} # does the image look like its prompt?

splits: {train: 0.8, val: 0.2}
exports: [coco, semantic]
"""
