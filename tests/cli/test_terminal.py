"""What a person sees at 80 × 24: no line is wider, no word is broken, something moves, and Ctrl-C is answered at once."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from earthsynth_factory import cli
from earthsynth_factory.cli import progress
from earthsynth_factory.cli.export import FORMATS
from earthsynth_factory.exports.base import KINDS
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from tests.build.building import RECIPE, write_recipe
from tests.importers import layouts

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 80, 24

RUNNER = """
import json, sys
from earthsynth_factory import cli
for words in json.loads(sys.argv[1]):
    sys.argv = ["earthsynth-factory", *words]
    try:
        cli.main()
    except SystemExit:
        pass
"""
"""One process for many commands: their imports are the slow part."""

ROOT_COMMAND = typer.main.get_command(cli.app)
COMMANDS = [*ROOT_COMMAND.commands]  # type: ignore[attr-defined]
RECIPE_COMMANDS = [["recipe", name] for name in ROOT_COMMAND.commands["recipe"].commands]  # type: ignore[attr-defined]
LIVE = re.compile(
    r"[⠀-⣿]|\d|img/s|left|starting|loading|looking|models|images|passed|not|kept|–|writing|comparing|counting|scenes|windows|…|:|%"
)
"""What progress writes, and overwrites."""


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, script: str, *words: str, cwd: Path) -> None:
        own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "TERM")}
        environment |= {"TERM": "xterm", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self._own = own
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.raw = ""

    def read(self, until: str = "", seconds: float = 120) -> str:
        """What is written until a text has come, or the process has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.plain):
            if select.select([self._own], [], [], 0.1)[0]:
                try:
                    self.raw += os.read(self._own, 65536).decode(errors="replace")
                except OSError:  # the other end is closed
                    break
        return self.plain

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)

    @property
    def lines(self) -> list[str]:
        return [line for part in self.plain.replace("\r\n", "\n").split("\n") for line in part.split("\r")]

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._own)


def seen(cwd: Path, *commands: list[str]) -> Terminal:
    import json

    terminal = Terminal(RUNNER, json.dumps(commands), cwd=cwd)
    terminal.read()
    terminal.close()
    return terminal


def plain_output(cwd: Path, *commands: list[str]) -> str:
    import json

    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(commands)], capture_output=True, text=True, cwd=cwd, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "4000"},
    )  # fmt: skip
    return done.stdout + done.stderr


def hold(terminal: Terminal) -> None:
    """No line is wider than the terminal, unless for a path that fills nearly all of it."""
    room = COLUMNS - len("warning: ")
    wide = [line for line in terminal.lines if len(line) > COLUMNS and max(map(len, line.split())) < room]
    assert wide == []


def test_every_help_fits_and_says_whole_sentences(tmp_path: Path) -> None:
    commands = [[], *([one] for one in COMMANDS), *RECIPE_COMMANDS]
    terminal = seen(tmp_path, *([*words, "--help"] for words in commands))
    hold(terminal)
    assert terminal.plain.count("Usage:") == len(commands)
    cut = [line for line in terminal.lines if re.match(r"  \w[\w-]* {2,}.*\.\.\.$", line)]
    assert cut == []


def test_help_of_export_lists_every_format() -> None:
    assert FORMATS.split(", ") == list(KINDS)


def test_what_commands_print_is_wrapped_between_words(tmp_path: Path) -> None:
    write_recipe(tmp_path, RECIPE.replace("engine: {shard_size: 7, device: cpu}", "engine: {device: cpu}"))
    bad = tmp_path / "bad.yaml"
    bad.write_text(RECIPE.replace("plane", "plain").replace("size: 64", "size: 65").replace("seed", "sead"))
    mask = np.zeros((96, 96), np.uint8)
    mask[20:50, 20:50] = 200
    write_bytes(tmp_path / "masks/a.png", encode_png(mask))
    own = tmp_path / "own.yaml"
    own.write_text(RECIPE.replace("[{kind: procedural}]", "[{kind: dataset, path: masks}]"))
    mills = tmp_path / "mills.yaml"
    mills.write_text(
        "name: m\nimage: {size: 512}\ncategories: [{name: windmill, count: 2, context: [pavement]}]\n"
        "conditions: [{kind: procedural}]\nsynthesis: {model: embedded}\n"
    )
    commands = [
        ["recipe", "validate", "bad.yaml"], ["recipe", "validate", "own.yaml"], ["plan", "mills.yaml"],
        ["plan", "recipe.yaml"], ["build", "recipe.yaml", "-o", "out"], ["status", "out"], ["stats", "out"],
        ["export", "out", "-f", "yolo-detect,semantic"], ["export", "out", "-f", "yolo"], ["split", "out"],
        ["remake", "out", "99"], ["report", "out"], ["preview", "out"], ["doctor"], ["recipe", "categories", "boat"],
        ["build", "recipe.yaml", "-o", "out", "--set", "seed=9"],
    ]  # fmt: skip
    terminal = seen(tmp_path, *commands)
    hold(terminal)
    no_word_is_broken(terminal, tmp_path, *commands)


@pytest.mark.slow
def test_what_commands_print_of_real_data_is_wrapped_between_words(tmp_path: Path) -> None:
    here = tmp_path / "here"
    layouts.coco_folder(here / "coco")
    layouts.image(here / "loose/a.png")
    write_recipe(here, RECIPE)
    (here / "train.yaml").write_text("name: t\ndata: {path: nowhere}\nbase: embedded\n")
    commands = [
        ["prepare", "coco", "-o", "real"], ["prepare", "loose", "-o", "other"], ["merge", "real", "real", "-o", "both"],
        ["filter", "real", "-o", "scores", "--rules", "image_quality"], ["filter", "loose"], ["stats", "real"],
        ["evaluate", "--real", "real", "--synthetic", "real", "--task", "detect", "-o", "eval"],
        ["evaluate", "--real", "nowhere", "--task", "mow"], ["train", "train.yaml"], ["train", "recipe.yaml"],
        ["generate", "loose/a.png", "ship", "-o", "ship.png"], ["generate", "nowhere.png", "ship", "-o", "ship.png"],
        ["mosaic", "recipe.yaml", "-o", "town.tif"], ["recipe", "from-gaps", "--real", "real", "-o", "gaps.yaml"],
        ["recipe", "init", "mine.yaml", "--for", "yolo"], ["doctor", "loose/a.png"], ["doctor", "nowhere"],
    ]  # fmt: skip
    afresh = shutil.copytree(here, tmp_path / "afresh")
    terminal = seen(here, *commands)
    hold(terminal)
    no_word_is_broken(terminal, afresh, *commands)


def no_word_is_broken(terminal: Terminal, cwd: Path, *commands: list[str]) -> None:
    """Every word of the terminal's is one of the output that nothing wrapped, but for progress."""
    words = set(re.findall(r"[^\s│─╭╮╰╯━┃|╸╺]+", terminal.plain))
    whole = set(re.findall(r"[^\s│─╭╮╰╯━┃|╸╺]+", plain_output(cwd, *commands)))
    assert {word for word in words - whole if not LIVE.search(word)} == set()


def test_a_build_moves_while_it_loads_and_answers_the_first_ctrl_c(tmp_path: Path) -> None:
    text = RECIPE.replace("count: 14", "count: 4000").replace("engine: {shard_size: 7", "engine: {shard_size: 500")
    write_recipe(tmp_path, text)
    terminal = Terminal(RUNNER, '[["build", "recipe.yaml", "-o", "out"]]', cwd=tmp_path)
    try:
        assert "img/s" in terminal.read("left", 60)
        first, _, rest = terminal.plain.partition("starting")
        assert not first.strip(" ⠋") and "loading models" in rest, "there is no moment without a word"
        terminal.read("passed:", 60)
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert "Ctrl-C again stops now" in terminal.read("stops now", 10)
        assert "run the same command again to go on" in re.sub(r"\s+", " ", terminal.read("go on in", 60))
        hold(terminal)
    finally:
        terminal.close()


def test_rates_are_of_a_window_and_not_of_a_burst() -> None:
    now = [0.0]
    window = progress.RateWindow(lambda: now[0])
    window.add(5000)
    assert window.rate is None  # a burst right at the start says nothing
    now[0] = 10.0
    assert window.rate == pytest.approx(500)
    now[0] = 131.0
    window.add(11)
    assert window.rate == pytest.approx(11 / 131)
