"""The report: one HTML file that needs no network and no other file, and is bounded in size whatever the dataset's size.

subject ─► entries, one by one ─► tally ─► sections ─► page
(what)     (every image made)     (counts,   (markup,    (template, style,
                                  sketches,   charts)     script)
                                  samples)
"""
