"""The embedded models from nothing: crops → autoencoder → latents → diffusion, decoder, CLIP, segmenter.

`stages` is the page to read first: the whole order, every stage resumable. `make` wraps it for the command line, `export`
and `evaluate` write what ships, `report` measures it on scenes that no training saw.
"""
