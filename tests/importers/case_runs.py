"""A case of the collection, run through the command line in a copy of its folder, and what came of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from typer.testing import CliRunner

from earthsynth_factory.cli import app

RUN = ("prepare", "export", "split")
"""Commands of a case that are run; the others only show what these wrote."""

Objects = dict[str, list[tuple[str, list[float]]]]
"""Stem → class and box (x, y, width, height) of every object, sorted."""


def cases_root() -> Path | None:
    """Where the collection is at hand: `ESF_CASES`, or `shared/cases` beside the checkout."""
    beside = Path(__file__).parents[3] / "shared" / "cases"
    root = Path(os.environ.get("ESF_CASES", beside))
    root = root if root.is_dir() else Path(__file__).parents[4] / "shared" / "cases"
    return root if root.is_dir() else None


@dataclass
class Run:
    """folder: the copy. codes, texts: exit code and output of each command, in order."""

    folder: Path
    codes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def document(self, out: str = "prep") -> dict[str, Any]:
        return json.loads((self.folder / out / "dataset.json").read_text())

    def items(self, out: str = "prep") -> dict[str, Any]:
        return self.document(out)["items"]

    def problems(self, out: str = "prep") -> str:
        return (self.folder / out / "problems.txt").read_text()

    def objects(self, out: str = "prep") -> Objects:
        """As prepared, by the words of the taxonomy."""
        classes = self.document(out)["classes"]
        found: Objects = {stem: [] for stem in self.items(out)}
        file = self.folder / out / "instances.jsonl"
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            found[entry["stem"]] = sorted(
                (classes[str(one["category"])], [float(n) for n in one["box"]]) for one in entry["instances"]
            )
        return found

    def instances(self, out: str = "prep") -> list[dict[str, Any]]:
        lines = (self.folder / out / "instances.jsonl").read_text().splitlines()
        return [one for line in lines for one in json.loads(line)["instances"]]

    def mask(self, stem: str, out: str = "prep") -> np.ndarray:
        found = cv2.imread(str(self.folder / out / "masks" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert found is not None, stem
        return found

    def python(self, *words: str) -> str:
        done = subprocess.run([sys.executable, *words], cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @cached_property
    def kind(self) -> str:
        return self.folder.name


def _restore_links(folder: Path) -> None:
    """Links that the collection keeps as files of their target's path."""
    for path in [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 100]:
        target = path.read_bytes()
        if target.startswith(b"../") and b"\n" not in target and (path.parent / target.decode()).exists():
            path.unlink()
            path.symlink_to(target.decode())


def run_case(case: Path, folder: Path) -> Run:
    """Copy the case and run its commands there."""
    shutil.copytree(case, folder, symlinks=True)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    _restore_links(folder)
    run, before = Run(folder), Path.cwd()
    os.chdir(folder)
    try:
        for line in (folder / "cmd.txt").read_text().splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["earthsynth-factory"] and words[1] in RUN:
                result = CliRunner().invoke(app, words[1:])
                error = result.exception
                crashed = error is not None and not isinstance(error, SystemExit)
                run.codes.append(result.exit_code)
                run.texts.append(result.output + (f"\nTRACEBACK {error!r}" if crashed else ""))
    finally:
        os.chdir(before)
    return run
