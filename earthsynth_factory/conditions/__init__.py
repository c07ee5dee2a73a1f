"""Stage 1, condition sampling: from what a slot wants to a mask, its instances and a prompt."""
