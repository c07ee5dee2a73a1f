"""How much is said on stderr: `--verbose` and `--quiet`."""

from __future__ import annotations

import logging


def set_verbosity(verbose: bool, quiet: bool) -> None:
    """Set the one logger's level and where it shows. Called for `--help` too, so nothing heavy is imported."""
    logger = logging.getLogger("earthsynth_factory")
    logger.setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.handlers[:] = [handler]
    # Of others only what a log file takes: without a handler of its own, the root logger prints their warnings on stderr.
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
