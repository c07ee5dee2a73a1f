"""The embedded models from nothing: crops → autoencoder → latents → diffusion, decoder, CLIP, segmenter.

`stages` is the page to read first: the whole order, every stage resumable. `python -m research.embedded RECIPE` runs it
(`make`), `export` and `evaluate` write what ships, `report` measures it on scenes that no training saw.
"""
