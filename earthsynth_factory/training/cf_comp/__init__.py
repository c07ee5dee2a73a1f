"""Counterfactual Composition: scenes that do not exist, made inside a batch from scenes that do. Pure numpy, no model.

Source: EarthSynth, arXiv 2505.12108. Its code for this was never published; so it is said here what stands where.

In the text (fact): a "three-dimensional batch-sample selection mechanism"; a mixed distribution of real and "unrealistic
logical" data; single-category samples help to recombine.
In the framework figure: composed pairs are made within the batch by copy-paste, two images merged both ways; what is
pasted keeps its place and size, nothing is blended; the composed mask is the union; 8 real pairs give 4 composed ones.
Our reading: what the three dimensions are and how they are scored (`criteria`), which regions are pasted and how
partners are drawn (`select`), the prompt over the union of classes, the share of composed samples as a number.

`compose` pastes · `criteria` scores · `select` draws · `spec` is the recipe's block · `preview` shows.
"""
