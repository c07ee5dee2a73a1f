"""Real datasets → the prepared layout, which every other command reads. `prepare` is the way in; see README.md."""
