"""Training: a ControlNet on a user's own pairs (`controlnet`, with `cf_comp`), and the embedded models from nothing.

`start` picks the trainer by the recipe's `kind`. What both share: `order`, `checkpoint`, `symmetry`, and the signals and
rates of `loop`. `ablation` asks whether CF-Comp helps. `cf_comp` is pure numpy; torch is imported by what comes after it.
"""
