"""`train RECIPE` of `kind: controlnet`: a ControlNet on a frozen (or trained) Stable Diffusion, with CF-Comp.

recipe → dataset (validated, surveyed) → caches → batches (order, composition) → stage (objective, loss) → run (steps,
checkpoints, validation) → export. Up to and with `batches` nothing knows a model; torch begins at `cache`.
"""
