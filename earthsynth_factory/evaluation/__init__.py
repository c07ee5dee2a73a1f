"""Floor 6: whether data make a model better, by how much and how surely, judged by what took no part in making them."""
