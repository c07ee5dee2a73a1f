"""Training the embedded model from nothing: crops → autoencoder → latents → diffusion and CLIP → export.

`cf_comp`, `crops` and `pack` are pure numpy; torch is imported by the stages after them.
"""
