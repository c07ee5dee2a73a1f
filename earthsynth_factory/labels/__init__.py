"""Stage 4, label mapping: from a condition to instances, boxes and the semantic mask."""
