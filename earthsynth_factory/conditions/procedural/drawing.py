"""What a scene draws with: names in place of ids, true sizes, how many are wanted, and what may be shown.

Scenes draw everything they know. What the want or the recipe does not admit is not placed (things) or turned into
background at the end (ground), so that a ship still lies on water where water is not to be labelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np

from earthsynth_factory.conditions.base import Want
from earthsynth_factory.conditions.procedural.canvas import MIN_PIXELS, Board, Bools
from earthsynth_factory.conditions.procedural.extent import Extent
from earthsynth_factory.conditions.procedural.figures import FIGURES, Shape
from earthsynth_factory.conditions.procedural.figures import GENERIC as GENERIC_FIGURES
from earthsynth_factory.conditions.procedural.shapes import Pose, Silhouette
from earthsynth_factory.conditions.procedural.size_checks import fitting, refuse_huge, refuse_tiny
from earthsynth_factory.conditions.procedural.sizes import GENERIC as GENERIC_SIZE
from earthsynth_factory.conditions.procedural.sizes import SIZES, Size
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category, Taxonomy, normalise
from earthsynth_factory.errors import NoCondition

MOST = 150
"""Instances of the target if the want names no number. Ours: a full car park is dull and slow."""

GROUNDS = (
    "bare land", "grass", "pavement", "road", "tree", "water", "agriculture land", "forest land", "barren land",
    "urban land", "airport", "rangeland", "developed space",
)  # fmt: skip
"""Land cover that scenes draw."""

_BUILTIN = {normalise(name): name for name in (*FIGURES, *GROUNDS)}


@dataclass(frozen=True, slots=True)
class Knobs:
    """The recipe's say in a layout; `ProceduralSpec` tells what each does."""

    density: float
    spacing: float
    orientation_spread: float
    size_scale: tuple[float, float]
    background: Literal["dense", "sparse", "none"]
    shapes: dict[str, Shape]


def look_key(category: Category) -> str:
    """The name our tables know a category by, or its own."""
    return _BUILTIN.get(normalise(category.name), category.name)


def shape_of(category: Category, shapes: dict[str, Shape]) -> Shape | None:
    """The recipe's shape for a category, by any spelling of its name."""
    return {normalise(name): shape for name, shape in shapes.items()}.get(normalise(category.name))


class Drawing:
    """One layout being drawn.

    extent: the ground shown. frame: about its middle, turned to the layout's heading.
    target: the key of the category wanted, empty for a negative. size: its length, metres.
    margin: how far from the border it is whole.
    """

    def __init__(self, want: Want, knobs: Knobs, taxonomy: Taxonomy, stands_on: tuple[str, ...]) -> None:
        self.want, self.knobs, self.taxonomy = want, knobs, taxonomy
        self.rng = rng(want.seed, "procedural")
        self.board = Board(want.height, want.width, want.metres_per_pixel)
        self.extent = Extent(want.width * want.metres_per_pixel, want.height * want.metres_per_pixel)
        self.target = look_key(want.category) if want.category else ""
        self.stands_on = stands_on
        self._shape = shape_of(want.category, knobs.shapes) if want.category else None
        self._codes: dict[str, int] = {}
        self._tables: dict[tuple[str, ...], Bools] = {}
        self._found: dict[str, Category | None] = {}
        self._admitted: dict[str, bool] = {}
        self.least, self.most = self._counts()
        self.size = self._fitting() if self.is_thing(self.target) else 0.0
        self.margin = self._margin()
        self.frame = self._frame()

    @property
    def reach(self) -> float:
        """Half the picture's diagonal, metres."""
        return self.extent.reach

    # What is wanted

    def category(self, name: str) -> Category | None:
        """The category that a name of ours is drawn as."""
        if name not in self._found:
            self._found[name] = self.want.category if name == self.target else self.taxonomy.find(name)
        return self._found[name]

    def is_thing(self, name: str) -> bool:
        """Whether it is counted in instances."""
        category = self.category(name)
        return category is not None and category.thing

    def shows(self, name: str) -> bool:
        """Whether the want and the recipe admit it in the mask."""
        if name not in self._admitted:
            self._admitted[name] = self._admits(name)
        return self._admitted[name]

    def wanted(self) -> int:
        """Things of the target that may still be added."""
        return self.most - self.board.count(self.code(self.target)) if self.target else 0

    def lacking(self) -> int:
        """Things of the target that must still be added."""
        return self.least - self.board.count(self.code(self.target)) if self.is_thing(self.target) else 0

    # Drawing

    def code(self, name: str) -> int:
        """The board's code for a name."""
        return self._codes.setdefault(name, len(self._codes) + 1)

    def codes(self, names: tuple[str, ...]) -> Bools:
        """(256,) True at the codes of the names."""
        if names not in self._tables:
            self._tables[names] = np.zeros(256, bool)
            self._tables[names][[self.code(name) for name in names]] = True
        return self._tables[names]

    def flood(self, name: str) -> None:
        """The whole picture becomes this ground."""
        self.board.paint_where(self.code(name), np.ones(self.board.codes.shape, bool))

    def paint(self, name: str, shape: Silhouette, at: Pose | None = None) -> None:
        """Ground of this name; `shape` is in metres of the picture, or of the frame `at`."""
        self.board.paint(self.code(name), shape.at(at) if at else shape)

    def figure(self, name: str, length: float | None = None, width: float | None = None) -> Silhouette:
        """A silhouette of a true size, or of the size given (metres)."""
        size = self.size_of(name)
        length = length or self._length(name, size)
        build = GENERIC_FIGURES[self._shape] if name == self.target and self._shape else FIGURES[name]
        return build(self.rng, length, width or length * float(self.rng.uniform(*size.ratio)))

    def sized(self, scale: float) -> float:
        """The target's length times `scale`, kept in its range (metres)."""
        low, high = self.size_of(self.target).length
        return min(max(self.size * scale, low), high)

    def put(
        self,
        name: str,
        at: Pose,
        figure: Silhouette | None = None,
        over: tuple[str, ...] = (),
        on: tuple[str, ...] | None = None,
        gap: float = 0.0,
    ) -> bool:
        """Place one thing, if it is admitted, wanted and there is room. over, on, gap: see `Board.place`."""
        if not (self.shows(name) and self.is_thing(name)) or (name == self.target and self.wanted() <= 0):
            return False
        shape = (figure or self.figure(name)).at(at)
        table = None if on is None else self.codes(on)
        return self.board.place(self.code(name), shape, self.codes(over), table, gap)

    def fill(
        self,
        name: str,
        poses: list[Pose],
        share: float = 1.0,
        loose: float = 0.0,
        over: tuple[str, ...] = (),
        on: tuple[str, ...] | None = None,
        figure: Callable[[], Silhouette] | None = None,
    ) -> None:
        """Place things at a share of the poses (times the density).

        loose: part of the recipe's orientation spread by which headings differ. figure: draws each, if given.
        The target goes to poses as `gathered`, and on to those first left out if too few are met.
        """
        poses = [pose for pose in poses if self.extent.contains(pose)]
        if not (self.shows(name) and poses):
            return
        chosen = self.rng.random(len(poses)) < share * self.knobs.density
        if name == self.target:
            poses = self.gathered(poses)
            chosen[0] = True
        draw = figure or partial(self.figure, name)
        for pose in (pose for pose, keep in zip(poses, chosen, strict=True) if keep):
            if not self._open(name):
                return
            self.put(name, self.loosened(pose, loose), draw(), over, on)
        for pose in (pose for pose, keep in zip(poses, chosen, strict=True) if not keep):
            if name != self.target or self.lacking() <= 0:
                return
            self.put(name, self.loosened(pose, loose), draw(), over, on)

    def _open(self, name: str) -> bool:
        return name != self.target or self.wanted() > 0

    def gathered(self, poses: list[Pose]) -> list[Pose]:
        """First those that leave the target whole; if a number is asked for, neighbours of a random one of them."""
        margin = self.margin
        whole = [pose for pose in poses if self.extent.contains(pose, margin)]
        cut = [pose for pose in poses if not self.extent.contains(pose, margin)]
        if self.want.instances is None or not whole:
            order = self.rng.permutation(len(whole)).tolist()
            return [whole[index] for index in order] + cut
        middle = whole[int(self.rng.integers(len(whole)))]
        return sorted(whole, key=lambda at: math.hypot(at.x - middle.x, at.y - middle.y)) + cut

    def plantable(self, at: Pose) -> bool:
        """Whether the place in the picture is neither a thing's nor on water or a carriageway."""
        row = min(int(at.y / self.want.metres_per_pixel), self.want.height - 1)
        column = min(int(at.x / self.want.metres_per_pixel), self.want.width - 1)
        barred = self.board.codes[row, column] in (self.code("water"), self.code("road"))
        return not barred and not self.board.instances[row, column]

    def scatter(self, tries: int = 400) -> None:
        """Place what is lacking of the target anywhere on what it stands on, a gap apart."""
        drawn = [name for name in self.stands_on if (self.board.codes == self.code(name)).any()]
        for _ in range(tries):
            if self.lacking() <= 0:
                return
            self.put(self.target, self.anywhere(), on=tuple(drawn) or None, gap=0.08 * self.knobs.spacing * self.size)

    # Places

    def anywhere(self) -> Pose:
        """A random place in the picture, near the layout's heading."""
        x, y = self.rng.uniform(0, self.extent.across), self.rng.uniform(0, self.extent.down)
        return self.loosened(Pose(float(x), float(y), self.frame.angle), 1.0)

    def loosened(self, pose: Pose, loose: float) -> Pose:
        """Turned by a random part of the orientation spread."""
        spread = math.radians(self.knobs.orientation_spread) * loose
        return pose.on(0, 0, float(self.rng.uniform(-spread, spread))) if spread else pose

    def lattice(self, along: float, across: float, frame: Pose | None = None) -> list[Pose]:
        """See `Extent.lattice`; through the layout's own frame where no other is given."""
        return self.extent.lattice(along, across, frame or self.frame)

    # What comes of it

    def finished(self) -> tuple[Mask, InstanceMap]:
        """Class ids and instance ids; ground that is not admitted is background.

        Raises NoCondition if the want is not met.
        """
        table = np.zeros(256, np.uint8)
        for name, code in self._codes.items():
            category = self.category(name)
            table[code] = category.id if category and self.shows(name) else BACKGROUND
        mask = np.asarray(cv2.LUT(self.board.codes, table), np.uint8)
        self._check(mask)
        return mask, self.board.instances

    # Choices made once

    def _admits(self, name: str) -> bool:
        category, want = self.category(name), self.want
        if category is None or category.id in want.avoid:
            return False
        if name == self.target:
            return True
        if want.context is not None and category.id not in want.context:
            return False
        if not self.target or self.knobs.background == "dense":
            return True
        return self.knobs.background == "sparse" and name in self.stands_on

    def _counts(self) -> tuple[int, int]:
        if self.want.instances is None:
            return 1, MOST
        low, high = self.want.instances
        least = max(low, 1)
        return least, int(self.rng.integers(least, max(high, least) + 1))

    def size_of(self, name: str) -> Size:
        """The true size, or the recipe's if it gives one for the target."""
        size = GENERIC_SIZE if name == self.target and self._shape else SIZES[name]
        low, high = self.knobs.size_scale
        length = (size.length[0] * low, size.length[1] * high)
        if name == self.target and self.want.object_size:
            length = self.want.object_size
        return Size(length, size.ratio, size.why)

    def _length(self, name: str, size: Size) -> float:
        if name != self.target:
            return float(self.rng.uniform(*size.length))
        return self.sized(float(self.rng.uniform(0.92, 1.08)))

    def _fitting(self) -> float:
        size = self.size_of(self.target)
        refuse_tiny(self.target, size, self.want.metres_per_pixel)
        refuse_huge(self.target, self.figure(self.target, size.length[0]), size.length[0], self.extent)
        low, high = fitting(size, self.extent, self.want.metres_per_pixel, self.most if self.want.instances else 3)
        return float(self.rng.uniform(low, high))

    def _margin(self) -> float:
        """Metres from the border at which the target is whole however it is turned."""
        return 0.54 * self.size * math.hypot(1, self.size_of(self.target).ratio[1]) if self.size else 0.0

    def _frame(self) -> Pose:
        """Off the middle by as much as leaves the target inside."""
        return Pose(
            self._near_middle(self.extent.across),
            self._near_middle(self.extent.down),
            float(self.rng.uniform(0, 2 * math.pi)),
        )

    def _near_middle(self, side: float) -> float:
        free = min(max(side / 2 - self.margin, 0), 0.2 * min(self.extent.across, self.extent.down))
        return side / 2 + float(self.rng.uniform(-free, free))

    def _check(self, mask: Mask) -> None:
        if not self.target or self.want.category is None:
            return
        lacking = self.lacking()
        if lacking > 0:
            raise NoCondition(
                f"only {self.least - lacking} of {self.least} × {self.target!r} ({self.size:.3g} m) found room on "
                f"{self.extent.across:.3g} m × {self.extent.down:.3g} m; ask for fewer or smaller ones, or a larger image"
            )
        if np.count_nonzero(mask == self.want.category.id) < MIN_PIXELS:
            raise NoCondition(f"this layout shows no {self.target!r}; another seed may")
