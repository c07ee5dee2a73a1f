"""Damaged input over every reader and every record of ours, in processes with little memory and little time.

Right is: an exit code of 0, 2 or 3 with a word on it. Wrong is a traceback, a hang, a death, or a file written elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson

from earthsynth_factory.errors import SourceError
from tests.attack.inputs import Inputs
from tests.attack.mutations import changed, damaged, dumped
from tests.attack.outcome import Outcome
from tests.attack.running import limit_memory
from tests.importers import layouts

MEMORY = 4 << 30
"""Address space of a process, of which libraries take the larger part."""
SECONDS = 60
BATCH = 40
"""Cases of a process."""


class Hang(BaseException):
    """The alarm rang."""


@dataclass(frozen=True)
class Target:
    """source: a folder that is copied to `in` beside `out`. files: suffixes that are damaged. commands: one is chosen."""

    name: str
    source: Path
    files: tuple[str, ...]
    commands: Sequence[Sequence[object]]
    skip: tuple[str, ...] = ("recipe.yaml", "README.md", "sessions.jsonl", ".lock")


def targets(inputs: Inputs, folder: Path) -> list[Target]:
    """Our own folders with each command that reads them, and every layout that `prepare` reads."""
    texts, formats = (
        (".json", ".jsonl", ".csv"),
        ("coco,semantic", "yolo-segment,voc", "odvg,prepared", "imagefolder,dota"),
    )
    pictures = (*texts, ".png")
    exports = [["export", "IN", "-f", names, "-o", "OUT", "--partial"] for names in formats]
    look = [
        ["status", "IN"],
        ["report", "IN", "-o", "OUT/index.html"],
        ["stats", "IN", "-o", "OUT/s.png"],
        ["split", "IN"],
    ]
    again = [["split", "IN", "--ratios", "0.5,0.5", "-o", "OUT", "--partial"]]
    decide = [["filter", "IN", "--out", "OUT", "--config", inputs.filter]]
    found = [
        Target("a build, looked at", inputs.build, texts, look),
        Target("a build, exported", inputs.build, pictures, [*exports, *again]),
        Target("a build, filtered", inputs.build, pictures, decide),
        Target("a build, gone on with", inputs.build, pictures, [["build", inputs.recipe, "--out", "IN"]]),
        Target("a prepared dataset", inputs.prepared, pictures, [*look[1:], *exports, *again]),
        Target(
            "a filter's folder",
            inputs.filtered,
            texts,
            [["filter", inputs.build, "--out", "IN", "--config", inputs.filter]],
        ),
        Target("a filter's folder, its report", inputs.filtered, texts, [["report", "IN", "-o", "OUT/index.html"]]),
    ]
    for kind, make in layouts.ALL.items():
        source = make(folder / kind)
        words = ["prepare", "IN", "--out", "OUT", "--workers", 1, "--crop", 0, "--kind", kind]
        found.append(
            Target(
                f"reader {kind}", source if source.is_dir() else source.parent,
                (".json", ".jsonl", ".txt", ".xml", ".yaml", ".pkl", ".png", ".tif", ".jpg"), [words, [*words[:-2]]],
            )
        )  # fmt: skip
    (folder / "texts").mkdir(exist_ok=True)
    shutil.copy(inputs.recipe, folder / "texts/r.yaml")
    shutil.copy(inputs.filter, folder / "texts/f.yaml")
    look_up = [["recipe", "validate", "IN/r.yaml"], ["plan", "IN/r.yaml"]]
    use = [["filter", inputs.prepared, "--out", "OUT", "--config", "IN/f.yaml"]]
    found.append(Target("recipe and filter.yaml", folder / "texts", (".yaml",), [*look_up, *use], skip=()))
    return found


def attack(target: Target, folder: Path, count: int, seed: int) -> Outcome:
    """This many damaged copies of the target."""
    outcome = Outcome(f"damaged input: {target.name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    next_case = 0
    while next_case < count:
        last = min(count, next_case + BATCH)
        told = _batch(target, folder, range(next_case, last), seed)
        for line in told:
            outcome.count(line)
        next_case += len(told)
    return outcome


def _batch(target: Target, folder: Path, cases: range, seed: int) -> list[str | None]:
    """What went wrong in each of these cases, None if nothing did; fewer if the process died of the last one."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _inside(target, folder, cases, seed, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = [orjson.loads(line) for line in pipe.read().splitlines()]
    _, status = os.waitpid(pid, 0)
    if len(told) < len(cases):
        told.append(f"case {cases[len(told)]}: the process died ({os.waitstatus_to_exitcode(status)})")
    return told


def _inside(target: Target, folder: Path, cases: range, seed: int, pipe: int) -> NoReturn:
    """The cases one after the other; a line of JSON for each."""
    limit_memory(MEMORY)
    signal.signal(signal.SIGALRM, _ring)
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(quiet, number)
    tempfile.tempdir = str(folder)
    watched = _watch(folder)
    for number in cases:
        chance = random.Random(f"{target.name} {seed} {number}")
        case = folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(target.source, case / "in", symlinks=True)
        what = _damage(case / "in", target, chance)
        words = [_placed(word, case) for word in chance.choice(list(target.commands))]
        watched.clear()
        fault = _try(words)
        if not fault and watched:
            fault = f"wrote outside: {watched[:2]}"
        line = f"case {number} ({what}; {' '.join(words[:1])}): {fault}" if fault else None
        os.write(pipe, orjson.dumps(line) + b"\n")
    os._exit(0)


def _damage(folder: Path, target: Target, chance: random.Random) -> str:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() in target.files and path.name not in target.skip
    ]
    path = chance.choice(files)
    data = damaged(path, chance)
    path.unlink()  # it may be a hard link
    path.write_bytes(data)
    if target.name.endswith("gone on with") and chance.random() < 0.5:
        for marker in (folder / "shards").glob("*.json"):
            marker.unlink()
    return path.relative_to(folder).as_posix()


def _placed(word: object, case: Path) -> str:
    text = str(word)
    for name in ("IN", "OUT"):
        if text == name or text.startswith((f"{name}/", f"{name}.")):
            return str(case / name.lower()) + text.removeprefix(name)
    return text


def _try(words: list[str]) -> str | None:
    from earthsynth_factory.cli import app

    errors = io.StringIO()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            app(words, prog_name="earthsynth-factory")
    except SystemExit as end:
        return None if end.code in (0, 2, 3, None) else f"exit {end.code}: {errors.getvalue()[-200:]}"
    except Hang:
        return f"hangs for {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]} in {_where(error)}"
    finally:
        signal.alarm(0)
    return None


def _where(error: BaseException) -> str:
    place, trace = "", error.__traceback__
    while trace:
        if "earthsynth_factory" in trace.tb_frame.f_code.co_filename:
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _ring(*_: object) -> None:
    raise Hang


def _watch(folder: Path) -> list[str]:
    """Paths outside the folder that are written to, as they come; the interpreter's own caches are no such thing."""
    seen: list[str] = []
    allowed = tuple(f"{path}/" for path in (folder, os.environ.get("XDG_CACHE_HOME", "/nowhere"), "/dev", "/proc"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path = _written(event, arguments)
        if isinstance(path, str | bytes):
            full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # a Path would open what it looks at
            if not f"{full}/".startswith(allowed) and "__pycache__" not in full:
                seen.append(f"{event} {full[:200]}")

    sys.addaudithook(hook)
    return seen


def _written(event: str, arguments: tuple[Any, ...]) -> Any:
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        return arguments[0]
    if event in ("os.rename", "os.link", "os.symlink"):
        return arguments[1]
    if event in ("os.mkdir", "os.truncate") or (event in ("os.remove", "os.rmdir") and arguments[1] in (-1, None)):
        return arguments[0]
    return None


Parse = Callable[[bytes], object]


def attack_records(inputs: Inputs, count: int, seed: int) -> Outcome:
    """Damaged lines of every record of ours, parsed one by one: a value, or ValueError."""
    outcome = Outcome("damaged records, parsed")
    lines = list(_lines(inputs))
    for number in range(count):
        chance = random.Random(f"records {seed} {number}")
        line, parse = chance.choice(lines)
        data = dumped(changed(orjson.loads(line), chance))
        try:
            parse(data)
            outcome.count(None)
        except (ValueError, SourceError):
            outcome.count(None)
        except Exception as error:
            outcome.count(f"{type(error).__name__}: {error} for {data[:120]!r}")
    return outcome


def _lines(inputs: Inputs) -> list[tuple[bytes, Parse]]:
    from functools import partial

    from earthsynth_factory.datasets.build.marker import Marker
    from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord, parsed
    from earthsynth_factory.datasets.prepared.document import read_dataset_file
    from earthsynth_factory.datasets.prepared.reader import ObjectsLine
    from earthsynth_factory.filtering.row import ScoreRow

    kinds: list[tuple[str, Path, Parse]] = [
        ("shards/*/samples.jsonl", inputs.build, SampleRecord.parse),
        ("shards/*/rejects.jsonl", inputs.build, RejectRecord.parse),
        ("shards/*.json", inputs.build, partial(parsed, kind=Marker)),
        ("instances.jsonl", inputs.prepared, partial(parsed, kind=ObjectsLine)),
        ("dataset.json", inputs.prepared, lambda data: read_dataset_file(io.BytesIO(data), Path("dataset.json"))),
        ("scores.jsonl", inputs.filtered, ScoreRow.parse),
    ]
    found: list[tuple[bytes, Parse]] = []
    for pattern, folder, parse in kinds:
        for path in sorted(folder.glob(pattern)):
            whole = [path.read_bytes()] if path.suffix == ".json" else path.read_bytes().splitlines()[:8]
            found += [(line, parse) for line in whole]
    return found
