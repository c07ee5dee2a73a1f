"""What the embedded models are worth, measured on scenes that no training saw: `make model-report`.

`reconstruction`, `distance`, `separation` and `iou` hold the metrics; `generated` makes the images and keeps them;
`fidelity` asks the segmenter; `usefulness` trains some; `measure` runs it all; `table` and `sheets` show it.
"""
