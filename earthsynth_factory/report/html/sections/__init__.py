"""The page's tabs, one module each: a `Section` from what was tallied, or None if there is nothing to show."""
