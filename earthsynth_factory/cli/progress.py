"""The live lines of a build, on stderr: what is done, how fast, how long it will take, what each class's images pass."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from earthsynth_factory.build.filling import BuildTally
from earthsynth_factory.build.shards import BuildEvent, Denoised, Resumed, SlotSettled, TakenOver, WorkerReady
from earthsynth_factory.engines.base import AtNode
from earthsynth_factory.io.log import console
from earthsynth_factory.io.printable import one_line, printable
from earthsynth_factory.recipe.schema import Recipe

LOG_SECONDS = 30
"""Where stderr is no terminal, a line is printed this often instead of a live bar."""


WINDOW_SECONDS = 120.0
"""What rates and time left are reckoned over."""

LEAST_SECONDS = 2.0
"""A burst of less says nothing about the rate."""


class RateWindow:
    """Counts of the last while, and what they come to in a second. Times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """This many more are done now."""
        now = self._clock()
        self._counts.append((now, count))
        while self._counts[0][0] < now - WINDOW_SECONDS:
            self._began = self._counts.popleft()[0]

    def restart(self) -> None:
        """Reckon from now on: what went before was loading."""
        self._began = self._clock()

    @property
    def rate(self) -> float | None:
        """Per second; None as long as too little is known."""
        spent = self._clock() - self._began
        total = sum(count for _, count in self._counts)
        return total / spent if total and spent >= LEAST_SECONDS else None


class _Rate(ProgressColumn):
    """Images a second: those of the window, or rich's own reckoning for a plain bar."""

    def __init__(self, window: RateWindow | None = None) -> None:
        super().__init__()
        self._window = window

    def render(self, task: Task) -> Text:
        rate = task.speed if self._window is None else self._window.rate
        return Text(f"{rate:.3g} img/s" if rate else "– img/s", style="cyan")


class _Left(ProgressColumn):
    """Time left at the window's rate."""

    def __init__(self, window: RateWindow) -> None:
        super().__init__()
        self._window = window

    def render(self, task: Task) -> Text:
        if not self._window.rate or task.remaining is None:
            return Text("-:--:-- left", style="cyan")
        return Text(f"{timedelta(seconds=round(task.remaining / self._window.rate))} left", style="cyan")


SHOWN_NODES = 12
"""Machines of a cluster whose rates are shown live: the slowest."""

SHOWN_CLASSES = 12
"""Classes whose acceptance is shown live: those that pass least often."""


class _Bar(Progress):
    """A bar with lines of text below it; if the terminal is narrow they are cut, and the bar stays."""

    below: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for line in self.below:
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def _say(shown: Console, line: str) -> None:
    """A sentence as it is: brackets in it are no markup."""
    shown.print(escape(printable(line)), highlight=False)


class BuildProgress:
    """Shows what workers report; `tally` holds the sums afterwards."""

    def __init__(self, recipe: Recipe, out: object) -> None:
        self.tally = BuildTally()
        self._console = console()
        self._made, self._settled = RateWindow(), RateWindow()
        self._nodes: dict[str, RateWindow] = {}
        self._counted = bytearray(recipe.images)
        self._bar = _Bar(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(self._made),
            _Left(self._settled),
            console=self._console,
            expand=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("loading models", total=recipe.images)
        self._recipe, self._out = recipe, out
        self._step = ""
        self._names = {category.id: one_line(category.name) for category, _ in recipe.blocks()}
        self._next_log = 0.0

    def __enter__(self) -> BuildProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        _say(self._console, line)

    def watch(self, event: BuildEvent | AtNode) -> None:
        """Take in a report."""
        self.tally.add(event)
        self._show(event)

    def _show(self, event: BuildEvent | AtNode) -> None:
        match event:
            case AtNode():
                self._count_at(event)
                self._show(event.told)
            case Resumed():
                self._resume(event)
            case TakenOver():
                self._count(event.settled)
                self.say(f"going on with shard {event.shard}, of which {len(event.settled)} are settled already")
            case WorkerReady():
                self._bar.update(self._task, description="images")
                self._made.restart()
                self._settled.restart()
            case Denoised():
                self._step = f"this batch: denoising step {event.done} of {event.steps}"
                self._show_below()
            case SlotSettled():
                self._made.add(event.images)
                self._settled.add(1)
                self._count((event.slot,))
                self._show_below()
                self._log()

    def _resume(self, event: Resumed) -> None:
        self._bar.update(self._task, completed=event.settled, total=event.of)
        if event.settled:
            self.say(f"{one_line(self._out)}: {event.settled} of {event.of} are settled already; going on")

    def _count(self, slots: Iterable[int]) -> None:
        """Move the bar on; what a worker of a cluster settled before it died is told again by who goes on with its shard."""
        new = [slot for slot in slots if not self._counted[slot]]
        for slot in new:
            self._counted[slot] = True
        self._bar.update(self._task, advance=len(new))

    def _count_at(self, event: AtNode) -> None:
        """Reckon the rate of a cluster's machine."""
        window = self._nodes.setdefault(event.node, RateWindow())
        if isinstance(event.told, SlotSettled):
            window.add(event.told.images)

    def _show_below(self) -> None:
        lines = (self._step, self._by_node(), self._rejected(), self._acceptance())
        self._bar.below = tuple(line for line in lines if line)

    def _by_node(self) -> str:
        """Images a second of a cluster's machines, the slowest first."""
        rates = sorted((window.rate or 0.0, one_line(node)) for node, window in self._nodes.items())
        parts = [f"{node} {rate:.3g}" for rate, node in rates[:SHOWN_NODES]]
        rest = len(rates) - len(parts)
        return f"img/s: {', '.join(parts)}{f' and {rest} more' if rest else ''}" if parts else ""

    def _rejected(self) -> str:
        parts = [f"{count}× {one_line(reason)}" for reason, count in self.tally.reasons.most_common(3)]
        return f"not kept: {', '.join(parts)}" if parts else ""

    def _acceptance(self) -> str:
        """The share of each class's images, of this session, that every rule passed; the lowest first."""
        if not self._recipe.rfilter.rules:
            return ""
        shares = [(self.tally.passed[one] / made, one) for one, made in self.tally.made.items() if made]
        ordered = sorted(shares, key=lambda pair: (pair[0], pair[1] or 0))
        parts = [f"{self._names.get(one or 0, 'negatives')} {share:.0%}" for share, one in ordered[:SHOWN_CLASSES]]
        rest = len(ordered) - len(parts)
        return f"passed: {', '.join(parts)}{f' and {rest} more' if rest else ''}" if parts else ""

    def _log(self) -> None:
        task = self._bar.tasks[0]
        elapsed = task.elapsed or 0.0
        if self._console.is_terminal or elapsed < self._next_log:
            return
        self._next_log = elapsed + LOG_SECONDS
        rate = self._settled.rate
        left = f"{(task.remaining or 0) / rate:.0f} s left" if rate and task.remaining else ""
        done = f"{task.completed:.0f}/{task.total:.0f}"
        parts = [done, left, self._by_node(), self._rejected(), self._acceptance()]
        self._console.print(escape("; ".join(part for part in parts if part)), soft_wrap=True)


@contextmanager
def scene_progress(words: str = "scenes") -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with rate and time left; if stderr is no terminal, a line every `LOG_SECONDS`."""
    shown = console()
    bar = Progress(
        TextColumn(f"[bold]{words}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=shown,
        disable=not shown.is_terminal,
    )
    with bar:
        task = bar.add_task(words, total=None)
        next_line = float(LOG_SECONDS)

        def watch(done: int, total: int) -> None:
            nonlocal next_line
            bar.update(task, completed=done, total=total)
            elapsed = bar.tasks[0].elapsed or 0.0
            if not shown.is_terminal and elapsed >= next_line:
                next_line = elapsed + LOG_SECONDS
                shown.print(f"{done}/{total} {words}")

        yield watch


@contextmanager
def image_progress(total: int, words: str) -> Iterator[Callable[[int], None]]:
    """A bar of images on stderr; it is called with how many more are done."""
    shown = console()
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def window_progress() -> Iterator[Callable[[int, int], None]]:
    """A bar of the windows of one large picture; it is called with how many are done and how many there are."""
    shown = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("windows", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def evaluation_progress() -> Iterator[Any]:
    """What an evaluation tells, on stderr: sentences, images read, runs done with the time left."""
    from earthsynth_factory.evaluation.session import Events

    shown = console()

    def ran(done: int, total: int, left: float) -> None:
        time_left = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        shown.print(f"{done}/{total} runs; {time_left} left")

    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        yield Events(
            say=lambda line: _say(shown, line),
            read=lambda count: bar.advance(task, count),
            ran=ran,
        )
