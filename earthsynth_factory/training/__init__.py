"""Training: a ControlNet on a user's own pairs, with Counterfactual Composition (`cf_comp`, pure numpy; no torch is needed).

`start` is what both command lines call, `controlnet/run` the page to read first. Order of samples, checkpoints and the
square's symmetries lie here, for every training that is resumed to the same weights.
"""
