"""Every word of a command goes to the terminal by one way, which names of strangers cannot take over."""

from __future__ import annotations

from pathlib import Path

import pytest

import earthsynth_factory.cli
from earthsynth_factory.cli.say import say

MODULES = sorted(Path(earthsynth_factory.cli.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_is_printed_past_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.stem == "say" or ("typer.echo(" not in text and "\nprint(" not in text and " print(" not in text)


def test_escapes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say("ship\x1b[2J\x1b]0;x\x07\r: 3 images\n  next", err=True)
    assert capsys.readouterr().err == "ship\\x1b[2J\\x1b]0;x\\x07\\r: 3 images\n  next\n"
