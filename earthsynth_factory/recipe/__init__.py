"""Floor 4: what a user asks for. A YAML file becomes a frozen `Recipe`, or all of its faults at once."""
