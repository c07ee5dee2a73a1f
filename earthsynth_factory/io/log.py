"""The one logger, and the file beside a build that warnings go to: ours and those of the libraries.

What a command has to say goes to stdout, its progress to stderr. What is neither, a warning or with `--verbose` a remark on
what is being done, is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LOGGER = logging.getLogger("earthsynth_factory")
"""Its level is the command line's choice: INFO with `--verbose`, ERROR with `--quiet`, else WARNING."""


def log_into(path: Path) -> logging.Handler:
    """From now on whatever is logged or warned of goes to the file too, with time and process; several may write it.

    Once is enough: what goes there already is not written twice.
    """
    for known in logging.getLogger().handlers:
        if isinstance(known, logging.FileHandler) and known.baseFilename == str(path.absolute()):
            return known
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)  # made with the first line
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    return handler


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """As `log_into`, for a while."""
    handler = log_into(path)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        handler.close()


def console(shown: bool = True) -> Console:
    """Where progress is shown: stderr, and nowhere with `--quiet`."""
    from rich.console import Console

    return Console(stderr=True, quiet=not shown or LOGGER.getEffectiveLevel() > logging.WARNING)
