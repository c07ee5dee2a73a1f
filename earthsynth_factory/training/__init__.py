"""Training: a ControlNet on a user's own pairs (`controlnet`, with `cf_comp`), and the embedded models from nothing.

`start` picks the trainer by the recipe's `kind`. The embedded models: crops → autoencoder → latents → diffusion and CLIP
→ export (`make`). What both share: `order`, `checkpoint`, `symmetry`, and the signals and rates of `loop`.
`cf_comp` is pure numpy; torch is imported by what comes after it.
"""
