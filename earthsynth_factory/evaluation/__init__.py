"""Floor 6: whether a dataset makes a model better, by how much, and how sure that is."""
