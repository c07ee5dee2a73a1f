"""Floor 2: networks and what is known of them. Torch lives here."""
