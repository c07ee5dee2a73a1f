"""Labelled overhead imagery from a recipe: masks, images, a filter, labels, datasets."""

__version__ = "0.2.0"
