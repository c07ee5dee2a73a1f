"""Does CF-Comp help? The same ControlNet training with `off`, `cf-comp` and `random`, several seeds each.

`python -m research.cf_comp_ablation --data DIR --out DIR`. Every run starts from the same weights and makes as
many updates of as many samples: composed samples take the place of real ones. Then it draws the same held-out masks from
the same image seeds, and two judges look at the images: the segmenter (IoU with the mask) and CLIP (regions by class).

How far it can be trusted: the embedded base has learnt from scenes of the same datasets (and from random copy-paste among
them), so "untouched base" is no model that lacks this data, and a training that starts at the base's own ControlNet
(`start: base`) starts where it had converged: 40 steps of it moved the mean IoU by a point. The default (`start: new`)
keeps the UNet alone and begins with a new ControlNet: it rises from nothing, and what the mask means is learnt in these
runs only. The judges learnt from real crops of the same datasets too, never from generated images. Masks that are drawn
come from scenes that no training saw.
"""
