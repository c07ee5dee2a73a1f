"""Does CF-Comp help? The same ControlNet training with `off`, `cf-comp` and `random`, several seeds each.

`python -m research.cf_comp_ablation --data DIR --out DIR`. Every training starts from the same weights and makes as
many updates of as many samples: composed samples take the place of real ones. Each ControlNet then draws the same masks
of training scenes from the same noise, as `build` draws them, and `evaluate` says what the images of a mode are worth to
a network that learns from them beside the real ones: CF-Comp's against those of each other mode, and of the untouched base.

How far it can be trusted: the embedded base has learnt from scenes of the same datasets (and from random copy-paste among
them), so "untouched base" is no model that lacks this data, and a training that starts at the base's own ControlNet
(`start: base`) starts where it had converged. The default (`start: new`) keeps the UNet alone and begins with a new
ControlNet: it rises from nothing, and what the mask means is learnt in these runs only.
"""
