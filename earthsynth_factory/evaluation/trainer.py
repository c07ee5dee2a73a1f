"""A user's own trainer: each arm's data in a format it reads, its command without a shell, its numbers checked.

    OUT/trainer/<arm>-<share>-<dose>-<seed>/data/<format>   train, val and test; images are links
    OUT/trainer/<arm>-<share>-<dose>-<seed>/out             what the trainer writes, metrics.json among it
    OUT/trainer/<arm>-<share>-<dose>-<seed>/log.txt         what it said

metrics.json holds numbers of the test split, in [0, 1] (or in percent, if the recipe says so): `{"mAP": 0.31}`, or by split,
`{"val": {…}, "test": {…}}`.
Intervals are then over seeds alone: how single images fared is not known.
"""

from __future__ import annotations

import math
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.merged import MergedRecord
from earthsynth_factory.datasets.views import View
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.evaluation.members import HELD_OUT, TEST, TRAIN, VAL
from earthsynth_factory.evaluation.plan import Run, material
from earthsynth_factory.evaluation.record import finished_runs, note_run, write_record
from earthsynth_factory.evaluation.result_folder import read_object
from earthsynth_factory.evaluation.session import Evaluation, Events
from earthsynth_factory.evaluation.spec import TrainerSpec
from earthsynth_factory.evaluation.views import noise_of
from earthsynth_factory.exports.write import export
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.stored import StoredFile
from earthsynth_factory.recipe.load import export_blocks

ARMS = frozenset({"real", "synthetic", "noise", "synthetic-alone", "fewer-real", "more-real", "compared"})
"""Arms that differ by their data alone; the others are ways of training, and the trainer is the user's."""

PLACES = ("{data}", "{out}")
"""What a command must name; `{seed}` may be left out by trainers that have none."""

MOST_BYTES = 1 << 20
"""Largest metrics.json."""


def check_trainer(trainer: TrainerSpec) -> list[str]:
    """The command's words. Raises InputError if it is no command, or does not say where data and results go."""
    try:
        words = shlex.split(trainer.command)
    except ValueError as error:
        raise InputError(f"--trainer {trainer.command!r}: not a command ({error}); mend the quotes") from error
    missing = [place for place in PLACES if not any(place in word for word in words)]
    if missing:
        raise InputError(
            f"--trainer {trainer.command!r}: does not say {' and '.join(missing)}; add them to the command"
        )
    return words


def train_outside(evaluation: Evaluation, events: Events) -> None:
    """Make all runs that are not made yet. Raises InputError if the trainer fails; finished runs are kept."""
    trainer = evaluation.recipe.trainer
    assert trainer is not None
    words = check_trainer(trainer)
    foreign = sorted({run.arm for run in evaluation.runs} - ARMS)
    if foreign:
        raise InputError(f"arms {', '.join(foreign)}: not with --trainer, which trains its own way; leave them out")
    done = len(finished_runs(evaluation.folder, evaluation.runs))
    started, made = time.monotonic(), 0
    events.say(f"{len(evaluation.runs) - done} runs of the trainer; time is known after the first")
    for run in evaluation.runs:
        if not evaluation.folder.run(run.name).is_file():
            _train(evaluation, trainer, words, run)
            made += 1
            left = (time.monotonic() - started) / made * (len(evaluation.runs) - done - made)
            events.ran(done + made, len(evaluation.runs), left)


def _train(evaluation: Evaluation, trainer: TrainerSpec, words: Sequence[str], run: Run) -> None:
    folder = evaluation.folder.trainer / run.name
    out = folder / "out"
    arm = _ArmData(evaluation, run, folder / "noise")
    (block,) = export_blocks([trainer.format])
    export(arm, [block], folder / "data", lambda _: None)
    data = folder / "data" / block.kind
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").unlink(missing_ok=True)
    filled = {"{data}": str(data.resolve()), "{seed}": str(run.seed), "{out}": str(out.resolve())}
    started = time.monotonic()
    _call([_fill(word, filled) for word in words], folder / "log.txt", trainer, run)
    scores = read_metrics(out / "metrics.json", trainer)
    record = {
        "run": {"arm": run.arm, "share": run.share, "dose": run.dose, "seed": run.seed},
        "shown": arm.account,
        "diverged": False,
        "scores": scores,
        "seconds": round(time.monotonic() - started, 2),
    }
    write_record(evaluation.folder, run, record, evaluation.key)
    note_run(evaluation.folder, run, time.monotonic() - started)


def _fill(word: str, filled: Mapping[str, str]) -> str:
    for place, value in filled.items():
        word = word.replace(place, value)
    return word


def _call(command: Sequence[str], log: Path, trainer: TrainerSpec, run: Run) -> None:
    """Raises InputError naming the run, the command and the end of what it said."""
    try:
        with log.open("wb") as file:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=trainer.timeout)
    except OSError as error:
        raise InputError(
            f"--trainer: {command[0]!r} cannot be started ({error.strerror}); give its full path"
        ) from error
    except subprocess.TimeoutExpired:
        raise InputError(
            f"--trainer: run {run.name} took more than {trainer.timeout:g} s and was stopped; see {log}"
        ) from None
    if ended.returncode:
        said = log.read_bytes()[-500:].decode("utf-8", "replace").strip()
        raise InputError(f"--trainer: run {run.name} failed (exit code {ended.returncode}); {log} ends:\n{said}")


def read_metrics(path: Path, trainer: TrainerSpec) -> dict[str, float]:
    """Split → the number that counts, in [0, 1]. Raises InputError naming the file and what is wrong with it."""
    if not path.is_file():
        raise InputError(f"{path}: the trainer ended without writing it; it has to hold the numbers of the test split")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES} bytes; write the numbers alone")
    try:
        found = read_object(path)
    except StoreError as error:
        raise InputError(f'{path}: no JSON object; write numbers by name, such as {{"mAP": 0.31}}') from error
    splits = {split: found[split] for split in HELD_OUT if isinstance(found.get(split), dict)}
    by_split = splits if TEST in splits else {TEST: found}
    return {split: _number(path, values, trainer) for split, values in by_split.items()}


def _number(path: Path, values: Mapping[str, Any], trainer: TrainerSpec) -> float:
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    name = trainer.metric or (next(iter(numbers)) if len(numbers) == 1 else None)
    if name is None or name not in numbers:
        wanted = f"no number {trainer.metric!r}" if trainer.metric else "not one number alone"
        raise InputError(
            f"{path}: holds {wanted}, only {', '.join(numbers) or 'nothing that is one'}; name it with --metric"
        )
    value, most = numbers[name], 100 if trainer.percent else 1
    if not 0 <= value <= most:
        remedy = "the more the better" if trainer.percent else "or in percent with --percent"
        raise InputError(f"{path}: {name} is {value:g}; a score lies in 0 to {most}, {remedy}")
    return value / most


class _ArmData(View):
    """What a run may see, as a dataset: its training images, and the val and test that every arm has."""

    def __init__(self, evaluation: Evaluation, run: Run, folder: Path) -> None:
        super().__init__(evaluation.members.dataset)
        pool = evaluation.pool
        found = material(pool, run, evaluation.recipe.seed)
        self._places = {pool.names[place]: int(place) for place in [*found.real, *found.made]}
        self._made = {pool.names[place] for place in found.made}
        self._held = {pool.names[place]: part for part in HELD_OUT for place in pool.of(part)}
        self._noise = folder if run.arm == "noise" else None
        counts = {TRAIN: len(found.real)} | ({pool.parts[found.made[0]]: len(found.made)} if len(found.made) else {})
        self.account = {part: {"images": count, "draws": count} for part, count in counts.items() if count}

    @property
    def splits(self) -> list[str]:
        return [TRAIN, VAL, TEST]

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base.samples():
            part = TRAIN if record.stem in self._places else self._held.get(record.stem)
            if part is not None:
                yield replace(record, split=part)

    def image_file(self, record: SampleRecord) -> StoredFile:
        if self._noise is None or record.stem not in self._made:
            return self.base.image_file(record)
        assert isinstance(record, MergedRecord)
        path = self._noise / f"{record.stem}.png"
        if not path.is_file():
            side = max(record.height, record.width)
            pixels = noise_of(self._places[record.stem], side)[: record.height, : record.width]
            write_bytes(path, encode_png(pixels.copy()), durable=False)
        return StoredFile(path)

    def image(self, record: SampleRecord) -> Image:
        if self._noise is None or record.stem not in self._made:
            return self.base.image(record)
        side = max(record.height, record.width)
        return noise_of(self._places[record.stem], side)[: record.height, : record.width]
