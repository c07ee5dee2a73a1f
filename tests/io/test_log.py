"""What is warned of goes to the file beside a build, and to stderr as the command line says."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earthsynth_factory.cli import app
from earthsynth_factory.cli.verbosity import set_verbosity
from earthsynth_factory.io.log import LOGGER, console, log_file


@pytest.fixture(autouse=True)
def as_before():
    level, handlers = LOGGER.level, list(LOGGER.handlers)
    yield
    LOGGER.setLevel(level)
    LOGGER.handlers[:] = handlers


def test_warnings_of_ours_and_of_libraries_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "build.log"
    with log_file(path):
        assert not path.exists(), "nothing was said yet"
        LOGGER.warning("ours")
        logging.getLogger("some.library").warning("theirs")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("and this", UserWarning, stacklevel=1)
    LOGGER.warning("afterwards")
    text = path.read_text()
    assert "WARNING earthsynth_factory: ours" in text and "WARNING some.library: theirs" in text and "and this" in text
    assert "afterwards" not in text


def test_quiet_shows_no_progress_and_verbose_says_more() -> None:
    set_verbosity(verbose=False, quiet=True)
    assert console().quiet and not LOGGER.isEnabledFor(logging.WARNING)
    set_verbosity(verbose=True, quiet=False)
    assert not console().quiet and LOGGER.isEnabledFor(logging.INFO) and len(LOGGER.handlers) == 1
    set_verbosity(verbose=False, quiet=False)
    assert LOGGER.isEnabledFor(logging.WARNING) and not LOGGER.isEnabledFor(logging.INFO)


def test_both_are_refused() -> None:
    assert CliRunner().invoke(app, ["--quiet", "--verbose", "doctor"]).exit_code == 2
