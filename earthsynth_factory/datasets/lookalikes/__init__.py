"""Images that look the same, however turned or mirrored, found among millions.

Images are compared as grey thumbnails (`index.py`) whose numbers no orientation changes (`invariants.py`). They lie in leaves
of a tree (`tree.py`), so that most are never compared with most; what is wanted of a comparison its seeker says
(`seekers.py`). A pair that looks the same is never lost. Ours.
"""
