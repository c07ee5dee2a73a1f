"""Floor 1: shapes in masks: components, run lengths, polygons, boxes."""
