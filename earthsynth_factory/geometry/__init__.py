"""Floor 1: shapes: components, run lengths, polygons, boxes, and what a source drew (`given`).

One convention of pixels holds everywhere, in every reader and writer: coordinates are continuous, x to the right and y down,
and run along the pixels' EDGES. Pixel (row y, column x) covers x … x + 1 and y … y + 1; its centre is (x + 0.5, y + 0.5); an
image of width W reaches from 0 to W. So a box around one pixel has width 1, a share of the width is x / W, and a pixel
belongs to an outline if its centre lies inside. Formats that count otherwise are brought to this at their reader and from it
at their writer, and nowhere else: VOC counts pixels from 1 and names the last one (`xmin - 1`, `xmax`).
"""
