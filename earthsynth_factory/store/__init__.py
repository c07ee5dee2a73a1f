"""Floor 1: the masters on disk. Every path is named here once."""
