"""Floor 0: the words of the line as types. Imports nothing of ours but `errors`, and never torch."""
