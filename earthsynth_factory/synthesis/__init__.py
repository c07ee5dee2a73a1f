"""Stage 2, image synthesis: from a condition and a seed to an image."""
