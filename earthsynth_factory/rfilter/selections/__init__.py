"""Rules about a dataset, not an image: they decide when all scores are in, so a build's retry loop has no use for them."""
