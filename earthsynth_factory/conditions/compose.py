"""Conditions put together: silhouettes of a mask bank on real dense masks or on plain ground.

True sizes are kept by metres per pixel, every object lies where its kind may lie, and instance ids survive.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BeforeValidator, ConfigDict, model_validator

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, SourceSpec, Want
from earthsynth_factory.conditions.ground import Ground, GroundChoice, LyingTable
from earthsynth_factory.conditions.masks.bank import MIN_PIXELS, Cutout, MaskBank
from earthsynth_factory.conditions.masks.cutting import BoxCutter
from earthsynth_factory.conditions.masks.folder import FolderSpec, MaskFolder
from earthsynth_factory.conditions.masks.objects import length
from earthsynth_factory.conditions.masks.pictures import FolderPictures
from earthsynth_factory.conditions.masks.view import Variants
from earthsynth_factory.conditions.partners import Option, Partners, PartnersSpec, Side
from earthsynth_factory.conditions.pasting import Piece, cut_piece
from earthsynth_factory.conditions.placement import Bits, ObjectStamp, at_anchor, find_place, render_object
from earthsynth_factory.conditions.scene import ComposedScene
from earthsynth_factory.domain import seeds
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.spec import CountSpan, Field
from earthsynth_factory.domain.taxonomy import Category
from earthsynth_factory.errors import NoCondition, SourceError

TRIES = 8
"""Grounds tried for one want."""

CUTOUTS = 6
"""Silhouettes tried for one object."""

MISSES = 3
"""Objects of a category that may stay without room before the scene counts as full of it."""

Folder = Annotated[FolderSpec, BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value)]


class ComposeSpec(FolderSpec, SourceSpec):
    """Objects of the folder at `path`, placed on backgrounds."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["compose"] = "compose"

    backgrounds: Folder | None = None
    """Dense masks (every pixel labelled) to place on: a path, or a block with `path`, `classes`. None: plain."""

    plain: tuple[str, ...] | None = None
    """Plain grounds to choose from (`background` for an empty one). None: whatever the wanted category may lie on."""

    plain_share: float = Field(default=0.0, ge=0, le=1)
    """Share of draws that take plain ground although there are `backgrounds`."""

    variants: Variants = Variants(rotate="free")
    """How the backgrounds are cropped and turned."""

    count: CountSpan = (1, 8)
    """Objects of the wanted category if the recipe does not say."""

    on: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Category → classes that it may lie on, over the built-in table: `{ship: [water]}`."""

    companions: dict[str, dict[str, CountSpan]] = Field(default_factory=dict, alias="with")
    """What comes along with a category and how many: `{plane: {small vehicle: 2..6}}`."""

    touching: bool = False
    """Let objects touch and cover one another, as far as `min_visible` allows."""

    gap: float = Field(default=0.5, ge=0)
    """Metres between objects if they may not touch."""

    min_visible: float = Field(default=0.6, gt=0, le=1)
    """Share of every object that neither the border nor another object may hide."""

    pictures: bool = False
    """Take objects and backgrounds with their pixels, for `synthesis: {kind: collage}` or `edit`."""

    match: float = Field(default=0.5, ge=0, le=1)
    """With `pictures`: how far an object follows the light and colour of its new place (0: not at all)."""

    sun: Literal["any", "keep"] = "any"
    """With `pictures`: `keep` turns an object no further than `turn`, as its background is turned, so that shadows agree
    if all pictures are of one hour."""

    turn: float = Field(default=15.0, ge=0, le=180)
    """With `sun: keep`: most degrees by which an object is turned."""

    sparse: bool = False
    """With `pictures`: accept backgrounds in which objects may stand that nobody labelled. What has no label there is ground
    for anything."""

    segmenter: str | None = None
    """With `pictures`: what cuts objects out of which their upright boxes alone are known: `embedded`, or the folder of a
    trained segmenter. Without one a folder with such objects is refused."""

    partners: PartnersSpec | None = None
    """With `pictures`: choose grounds and objects by CF-Comp's criteria; `{}` takes each as it weighs in training. Left out:
    blindly."""

    @model_validator(mode="after")
    def _pictures_need_ground(self) -> Self:
        if self.pictures and (self.plain is not None or self.plain_share > 0):
            raise ValueError("plain ground has no picture; with `pictures: true` leave out `plain` and `plain_share`")
        if self.pictures and self.variants.pad:
            raise ValueError("there is no picture beyond a picture's border; with `pictures: true` leave out `pad`")
        if self.partners is not None and not self.pictures:
            raise ValueError("`partners` compares pictures; set `pictures: true`")
        return self

    @property
    def gives_pictures(self) -> bool:
        return self.pictures

    @property
    def makes_pairs(self) -> bool:
        return self.pictures

    def build(self, context: SourceContext) -> ComposeSource:
        """Index folder and bank (both cached) and deal the groups to splits."""
        return ComposeSource(self, context)


class ComposeSource(ConditionSource):
    """Draws scenes. Bank and backgrounds are of the wanted split alone."""

    def __init__(self, spec: ComposeSpec, context: SourceContext) -> None:
        """Raises SourceError or InputError if a folder or a name cannot be used."""
        taxonomy = context.taxonomy
        self._spec, self._taxonomy, self._prompts = spec, taxonomy, context.prompts
        self._folder = MaskFolder(spec, context, own_splits=spec.pictures)
        self._bank = MaskBank(self._folder, taxonomy, context.cache)
        self._backgrounds = MaskFolder(spec.backgrounds, context, spec.pictures) if spec.backgrounds else None
        self._pictures = FolderPictures(self._folder, context.cache) if spec.pictures else None
        self._cutter = BoxCutter(spec.segmenter, context.base, self._folder, self._pictures) if self._pictures else None
        ground_pictures = None
        if self._pictures:
            ground_pictures = FolderPictures(self._backgrounds, context.cache) if self._backgrounds else self._pictures
            self._backgrounds = self._backgrounds or self._folder
            _check_labelled(self._backgrounds, spec.sparse)
        self._ground_pictures = ground_pictures
        self._partners = Partners(spec.partners, self._folder.masks_of()) if spec.partners else None
        self._grounds = GroundChoice(
            taxonomy,
            LyingTable(taxonomy, spec.on),
            self._backgrounds,
            spec.variants,
            spec.plain,
            spec.plain_share,
            ground_pictures,
            spec.sparse,
            self._partners,
        )
        self._companions = {
            taxonomy.named(name).id: {taxonomy.named(other).id: span for other, span in others.items()}
            for name, others in spec.companions.items()
        }

    @property
    def makes_pairs(self) -> bool:
        return self._spec.makes_pairs

    def fingerprint(self) -> str:
        backgrounds = self._backgrounds.content if self._backgrounds else "plain"
        own = self._spec.model_dump_json(exclude={"path": True, "weight": True, "backgrounds": {"path"}})
        pictures = "".join(f" {one.content}" for one in (self._pictures, self._ground_pictures) if one)
        pictures += f" {self._cutter.identity}" if self._cutter and self._cutter.identity else ""
        return f"compose {self._folder.content} {backgrounds} {own}{pictures}"

    def masks_of(self) -> Mapping[int, int]:
        return self._folder.masks_of()

    def licences(self) -> list[str]:
        lines = self._folder.licences() + (self._backgrounds.licences() if self._backgrounds else [])
        return list(dict.fromkeys(lines))

    def supports(self, category: Category | None, split: str) -> bool:
        if category is not None and not self._bank.find(category.id, split):
            return False
        return self._grounds.supports(category, split)

    def draw(self, want: Want) -> Condition:
        if not self.supports(want.category, want.split):
            name = want.category.name if want.category else "a negative"
            raise NoCondition(f"{self._folder.name}: nothing to compose {name} from in split {want.split!r}")
        rng = seeds.rng(want.seed, "compose")
        reasons: Counter[str] = Counter()
        for _ in range(TRIES):
            found = self._try(want, rng)
            if isinstance(found, Condition):
                return found
            reasons[found] += 1
        raise NoCondition(
            f"{self._folder.name}: {TRIES} grounds tried, none serves; most often {reasons.most_common(1)[0][0]}"
        )

    def _try(self, want: Want, rng: np.random.Generator) -> Condition | str:
        ground = self._grounds.choose(want, rng)
        if isinstance(ground, str):
            return ground
        gap = None if self._spec.touching else math.ceil(self._spec.gap / want.metres_per_pixel)
        draft = _Draft(want, ground, ComposedScene(ground.crop, self._spec.match, gap), rng)
        fault = self._populate(draft)
        return fault or (self._pair(draft) if want.pair else self._condition(draft))

    def _pair(self, draft: _Draft) -> Condition | str:
        """The scene with one more object, and as its twin the scene without it or with another in its place."""
        want, other = draft.want, draft.copy()
        if want.category is None or want.pair is None:
            return "a pair needs an object by which its images differ"
        fault = self._place(draft, want.category.id)
        if fault is None and want.pair.instead is not None:
            fault = self._put_instead(other, want.pair.instead.id, draft.placed[-1])
        if fault is not None:
            return fault
        factual, counterfactual = self._condition(draft), self._condition(other)
        if want.pair.counterfactual:
            return replace(counterfactual, twin=factual)
        return replace(factual, twin=counterfactual)

    def _put_instead(self, draft: _Draft, category: int, taken: Option) -> str | None:
        """Put an object of the category where the twin scene has another, or say why not."""
        free, choice = self._free(draft, category), self._bank.find(category, draft.want.split)
        name = self._taxonomy[category].name
        for _ in range(CUTOUTS if choice else 0):
            cutout = self._bank[choice[int(draft.rng.integers(len(choice)))]]
            own = self._own_shape(cutout)
            stamp = self._stamp(draft, own) if own else ""
            if own is None or isinstance(stamp, str):
                continue
            place = at_anchor(free, stamp, taken.anchor, self._spec.min_visible)
            if place is not None and draft.put(Option(own, stamp, place), self._spec.min_visible):
                return None
        return f"no {name!r} fits where the other object of the pair stands"

    def _condition(self, draft: _Draft) -> Condition:
        want, ground, scene = draft.want, draft.ground, draft.scene
        present = present_classes(scene.mask)
        detail = {**ground.detail, "bank": ", ".join(draft.groups)}
        if self._pictures and self._ground_pictures and ground.item:
            detail["picture"] = self._ground_pictures.name(ground.item)
            names = [f"{self._pictures.name(one.cutout.item)}#{one.cutout.id}" for one in draft.placed]
            detail["objects"] = " | ".join(names)
        return Condition(
            mask=scene.mask,
            instances=scene.instances,
            prompt=self._prompts.write(present, want.metres_per_pixel, seed=want.seed),
            metres_per_pixel=want.metres_per_pixel,
            seed=want.seed,
            origin=Origin(
                f"compose:{self._folder.name}",
                ground.group or next(iter(draft.groups), f"plain ground, {want.split}"),
                detail,
            ),
            visible=scene.visible(),
            picture=scene.picture,
            changed=None if scene.picture is None else scene.changed,
            ground=ground.crop.picture,
        )

    def _populate(self, draft: _Draft) -> str | None:
        """Place what the want asks for, with its companions; the reason if fewer than the least find room."""
        want, scene, rng = draft.want, draft.scene, draft.rng
        if want.category is None:
            return None
        low, high = want.instances or self._spec.count
        last = int(want.pair is not None)  # a pair's own object is put in when all others are
        spans = {want.category.id: (max(0, low - last), max(0, high - last))}
        for other, span in self._companions.get(want.category.id, {}).items():
            if other not in want.avoid and other not in spans:
                spans[other] = span
        there = {category: scene.count(category) for category in spans}
        if want.instances is not None and there[want.category.id] > spans[want.category.id][1]:
            return f"the background alone has more {want.category.name!r} than {spans[want.category.id][1]}"
        todo = [c for c, (low, high) in spans.items() for _ in range(int(rng.integers(low, high + 1)) - there[c])]
        reasons: Counter[str] = Counter()
        misses: Counter[int] = Counter()
        for position in rng.permutation(len(todo)).tolist():
            category = todo[position]
            fault = self._place(draft, category) if misses[category] < MISSES else None
            misses[category] += bool(fault)
            reasons.update([fault] if fault else [])
        for category, (low, _) in spans.items():
            if scene.count(category) < low:
                why = reasons.most_common(1)[0][0] if reasons else "all were hidden"
                return f"only {scene.count(category)} of {low} {self._taxonomy[category].name!r}: {why}"
        return None

    def _place(self, draft: _Draft, category: int) -> str | None:
        """Put one object of the category into the scene, or say why not."""
        want, rng = draft.want, draft.rng
        choice = self._bank.find(category, want.split)
        name = self._taxonomy[category].name
        if not choice:
            return f"no {name!r} in this split"
        free = self._free(draft, category)
        reasons: list[str] = []
        options = (self._option(draft, self._bank[choice[int(rng.integers(len(choice)))]], free) for _ in count())
        if self._partners is None:
            tried: Iterable[Option | str] = islice(options, CUTOUTS)
        else:
            tried = self._by_partners(draft, list(islice(options, self._partners.spec.among)))
        for option in tried:
            if isinstance(option, str):
                reasons.append(option)
            elif draft.put(option, self._spec.min_visible):
                return None
        return reasons[-1] if reasons else f"a {name!r} would hide too much of others"

    def _option(self, draft: _Draft, cutout: Cutout, free: Bits) -> Option | str:
        """The silhouette with a place for it, or why there is none."""
        own = self._own_shape(cutout)
        stamp = self._stamp(draft, own) if own else f"a {self._taxonomy[cutout.category].name!r} that no segmenter sees"
        if own is None or isinstance(stamp, str):
            return str(stamp)
        place = find_place(free, stamp, self._spec.min_visible, draft.rng)
        if place is None:
            name, size = self._taxonomy[cutout.category].name, stamp.area * draft.want.metres_per_pixel**2
            return f"no room for a {name!r} of {size:.0f} m² where it may lie"
        return Option(own, stamp, place)

    def _own_shape(self, cutout: Cutout) -> Cutout | None:
        """The object as its pixels are, cut out of its box if that is all that is known."""
        return self._cutter.cut(cutout) if self._cutter else cutout

    def _by_partners(self, draft: _Draft, options: Sequence[Option | str]) -> list[Option | str]:
        """Those with a place in the order in which they are to be tried, behind the reasons of the others."""
        ground = draft.ground.item
        assert self._partners and self._pictures and self._ground_pictures and self._backgrounds and ground
        usable = [option for option in options if isinstance(option, Option)]
        donor = Side(self._folder, self._pictures, ground)
        base = Side(self._backgrounds, self._ground_pictures, ground)
        ordered = self._partners.ordered(usable, donor, base, draft.scene.instances > 0, draft.rng)
        return [*(option for option in options if isinstance(option, str)), *ordered]

    def _free(self, draft: _Draft, category: int) -> Bits:
        """(H, W) True if an object of the category may go."""
        return draft.scene.free(self._grounds.lies_on(category))

    def _stamp(self, draft: _Draft, cutout: Cutout) -> ObjectStamp | str:
        """The silhouette at its true size (or the wanted one), turned at random; or why it cannot be shown."""
        want, rng = draft.want, draft.rng
        name = self._taxonomy[cutout.category].name
        scale = cutout.metres_per_pixel / want.metres_per_pixel if cutout.metres_per_pixel else 1.0
        if want.object_size is not None and want.category is not None and cutout.category == want.category.id:
            scale = float(rng.uniform(*want.object_size)) / want.metres_per_pixel / length(cutout.shape)
        if scale * max(cutout.shape.shape) > 2 * max(want.height, want.width):
            return f"a {name!r} is larger than the image; lower its size or raise metres per pixel"
        stamp = render_object(cutout.shape, scale, *self._turn(draft.ground, rng), self._piece(cutout))
        if stamp is None or stamp.area < MIN_PIXELS:
            return f"a {name!r} is under {MIN_PIXELS} pixels at {want.metres_per_pixel:g} m per pixel; lower that"
        return stamp

    def _turn(self, ground: Ground, rng: np.random.Generator) -> tuple[float, bool]:
        """Angle in radians, and whether to mirror: free, or as the ground is turned so that shadows fall as they do there."""
        angle, mirror = rng.uniform(0, 2 * math.pi), bool(rng.random() < 0.5)
        if self._spec.sun == "any" or ground.view is None:
            return angle, mirror
        return ground.view.angle + math.radians(self._spec.turn) * (angle / math.pi - 1), ground.view.mirror

    def _piece(self, cutout: Cutout) -> Piece | None:
        """The object's pixels, if the source works with pictures."""
        if self._pictures is None:
            return None
        instances = self._folder.read(cutout.item).instances
        return cut_piece(self._pictures.read(cutout.item), instances, cutout.box)


@dataclass(frozen=True, eq=False)
class _Draft:
    """A scene being put together: what it is for, what it stands on, and which objects were put into it."""

    want: Want
    ground: Ground
    scene: ComposedScene
    rng: np.random.Generator
    placed: list[Option] = field(default_factory=list)

    def copy(self) -> _Draft:
        """The same scene, to go on with otherwise."""
        return replace(self, scene=self.scene.copy(), placed=list(self.placed))

    def put(self, option: Option, min_visible: float) -> bool:
        """Lay the object down, as `ComposedScene.put`."""
        if not self.scene.put(option.stamp, option.cutout.category, *option.corner, min_visible):
            return False
        self.placed.append(option)
        return True

    @property
    def groups(self) -> dict[str, None]:
        """The scenes that the objects are from, each once, in the order they came."""
        return dict.fromkeys(placed.cutout.group for placed in self.placed)


def _check_labelled(backgrounds: MaskFolder, sparse: bool) -> None:
    """Raises SourceError for backgrounds that may show objects without labels, unless that is accepted."""
    if sparse or (backgrounds.about is not None and backgrounds.about.dense):
        return
    raise SourceError(
        f"{backgrounds.path}: its masks do not say what every pixel is, so a background may show objects without labels; "
        "give densely labelled `backgrounds`, or set `sparse: true` to accept that"
    )
