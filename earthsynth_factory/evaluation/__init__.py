"""Floor 6: what images are worth, measured with eyes that did not take part in making or choosing them."""
