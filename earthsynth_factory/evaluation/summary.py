"""From the records of runs to what is reported: scores by arm, differences with their intervals, curves, and what to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from earthsynth_factory.evaluation.intervals import Difference, difference, resamplings, worth
from earthsynth_factory.evaluation.members import MADE, TEST, VAL
from earthsynth_factory.evaluation.metrics import HEADLINE, MetricScorer, Scores
from earthsynth_factory.evaluation.plan import Run, material
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.spec import EvaluationRecipe
from earthsynth_factory.evaluation.verdict import about_noise, verdict

Floats = npt.NDArray[np.float64]
JUDGED = ("synthetic", "synthetic-augmented", "two-streams", "synthetic-first", "synthetic-alone", "compared")
"""Arms whose difference is a verdict on the data."""


@dataclass(frozen=True)
class Setting:
    """All runs of an arm at a share and a dose, by seed, with their records."""

    runs: tuple[Run, ...]
    records: tuple[Mapping[str, Any], ...]

    @property
    def first(self) -> Run:
        """What they share."""
        return self.runs[0]


class Summary:
    """Scores settings, each once, under the same resamplings of the test."""

    def __init__(self, recipe: EvaluationRecipe, pool: Pool, settings: Mapping[str, Setting]) -> None:
        self.recipe, self.pool, self.settings = recipe, pool, settings
        self.metric = (recipe.trainer.metric or "score") if recipe.trainer else HEADLINE[recipe.task]
        self._kept: dict[tuple[str, str], list[Scores]] = {}
        self._units = {part: pool.units(part) for part in (VAL, TEST)}
        self._weights = {part: resamplings(units, recipe.seed) for part, units in self._units.items()}

    @property
    def scenes(self) -> int:
        """What was resampled of the test: scenes, or images if scenes are few."""
        return len(set(self._units[TEST].tolist()))

    @cached_property
    def by_image(self) -> bool:
        """Whether images stand in for scenes."""
        real = {self.pool.scenes[place] for place in self.pool.of(TEST)}
        return len(real) != self.scenes

    def scores(self, group: str, part: str = TEST) -> list[Scores]:
        """By seed."""
        if (group, part) not in self._kept:
            self._kept[group, part] = [self._scored(record, part) for record in self.settings[group].records]
        return self._kept[group, part]

    def _scored(self, record: Mapping[str, Any], part: str) -> Scores:
        """A user's trainer gives one number, which no resampling changes."""
        if "outcomes" in record:
            return MetricScorer(self.recipe.task, self.pool, part)(record["outcomes"][part], self._weights[part])
        return Scores({self.metric: np.full(len(self._weights[part]), record["scores"].get(part, np.nan))}, {})

    def by_test_image(self, group: str) -> Floats:
        """(N,) of every test image alone, in points, mean over seeds."""
        scorer, alone = MetricScorer(self.recipe.task, self.pool, TEST), np.eye(len(self.pool.of(TEST)), dtype=np.int64)
        found = [scorer(one["outcomes"][TEST], alone).metrics[self.metric] for one in self.settings[group].records]
        return np.asarray(100 * np.mean(found, axis=0))

    def headline(self, group: str, part: str = TEST) -> Floats:
        """(seeds, 1 + resamplings) of the number that verdicts are about."""
        return np.stack([one.metrics[self.metric] for one in self.scores(group, part)])

    def difference(self, base: str, group: str, part: str = TEST) -> Difference:
        """Of two settings, over the seeds that both have."""
        one, other = self.headline(base, part), self.headline(group, part)
        seeds = min(len(one), len(other))
        return difference(one[:seeds], other[:seeds], len(set(self._units[part].tolist())))

    def document(self) -> dict[str, Any]:
        """By share: the arms, the curve of real images, the dose curve."""
        return {"shares": [self._share(share) for share in self.recipe.shares], "real_curve": self.real_curve}

    def _share(self, share: float) -> dict[str, Any]:
        groups = [group for group, one in self.settings.items() if one.first.share == share]
        main = [group for group in groups if self._is_main(self.settings[group].first)]
        base = self._group("real", share)
        arms = [self._arm(group, base) for group in main]
        found: dict[str, Any] = {"share": share, "real_images": self._images(base)["train"], "arms": arms}
        if self.recipe.doses:
            found["dose_curve"] = self._dose_curve(share, base)
        return found

    def _is_main(self, run: Run) -> bool:
        return run.arm in self.recipe.arms and (run.arm != "synthetic" or run.dose == self._dose(run.share))

    def _dose(self, share: float) -> float:
        doses = [
            one.first.dose for one in self.settings.values() if (one.first.arm, one.first.share) == ("synthetic", share)
        ]
        return min(doses, key=lambda dose: abs(dose - self.recipe.dose))

    def _group(self, arm: str, share: float) -> str:
        return next(group for group, one in self.settings.items() if (one.first.arm, one.first.share) == (arm, share))

    def _images(self, group: str) -> dict[str, int]:
        """Real and made images that a run of the setting may draw from."""
        found = material(self.pool, self.settings[group].first, self.recipe.seed)
        return {"train": len(found.real), "made": len(found.made)}

    def _arm(self, group: str, base: str) -> dict[str, Any]:
        setting, counts = self.settings[group], self._images(group)
        run = setting.first
        found: dict[str, Any] = {
            "arm": run.arm,
            "dose": run.dose,
            "images": {"real": counts["train"], "synthetic": counts["made"]},
            "shown": _shown(setting.records),
            "scores": self._means(group),
            "by_class": self._by_class(group),
            "by_seed": [round(100 * float(one), 3) for one in self.headline(group)[:, 0]],
            "diverged": [
                one.seed for one, record in zip(setting.runs, setting.records, strict=True) if record["diverged"]
            ],
        }
        if group == base:
            return found
        baseline = self._baseline(run, base)
        gap = self.difference(baseline, group)
        found |= {"baseline": self.settings[baseline].first.arm, "difference": as_plain(gap)}
        if counts["made"]:
            found["gain_per_100"] = round(100 * gap.mean / counts["made"], 3)
            found |= self._worth(group, base)
        if run.arm in JUDGED:
            found["verdict"] = self._verdict(group, gap, run)
        return found

    def _verdict(self, group: str, gap: Difference, run: Run) -> str:
        noise = [
            one
            for one, setting in self.settings.items()
            if setting.first.arm == "noise" and setting.first.share == run.share
        ]
        words = verdict(gap, self.metric, self.scenes, self.by_image)
        words += "; over seeds alone" if self.recipe.trainer else ""
        return words + (about_noise(gap, self.difference(noise[0], group)) if noise else "")

    def _baseline(self, run: Run, base: str) -> str:
        wanted = {"synthetic-augmented": "augmented"}.get(run.arm)
        at = [group for group, one in self.settings.items() if (one.first.arm, one.first.share) == (wanted, run.share)]
        return at[0] if at else base

    def _means(self, group: str) -> dict[str, dict[str, float]]:
        """Metric → mean and standard deviation over seeds, in points."""
        names = self.scores(group)[0].metrics
        values = {name: [100 * float(one.metrics[name][0]) for one in self.scores(group)] for name in names}
        return {name: _spread(found) for name, found in values.items()}

    def _by_class(self, group: str) -> dict[str, dict[str, float]]:
        classes = self.pool.classes
        values = {
            classes.names[column - 1]: [100 * float(one.by_class[column][0]) for one in self.scores(group)]
            for column in classes.judged
            if column in self.scores(group)[0].by_class
        }
        return {name: _spread(found) for name, found in values.items()}

    @cached_property
    def real_curve(self) -> list[dict[str, float]]:
        """Real images → score, ascending: the real arm at every share, and arms of fewer or further real images."""
        points: dict[int, list[float]] = {}
        for group, setting in self.settings.items():
            if setting.first.arm in ("real", "fewer-real", "more-real"):
                points.setdefault(self._images(group)["train"], []).append(float(self.headline(group)[:, 0].mean()))
        return [
            {"images": count, "score": round(100 * float(np.mean(found)), 3)} for count, found in sorted(points.items())
        ]

    def _worth(self, group: str, base: str) -> dict[str, Any]:
        """How many further real images would give the arm's score; nothing if the curve has one point."""
        curve, real = self.real_curve, self._images(base)["train"]
        if len(curve) < 2:
            return {}
        value = 100 * float(self.headline(group)[:, 0].mean())
        count, sign = worth([int(one["images"]) for one in curve], [one["score"] for one in curve], value)
        return {"worth_real_images": round(count - real), "worth_sign": sign}

    def _dose_curve(self, share: float, base: str) -> dict[str, Any]:
        """Every dose on val; the best of them, and it alone, on test."""
        at = {
            one.first.dose: group
            for group, one in self.settings.items()
            if one.first.share == share and one.first.arm in ("real", "synthetic")
        }
        asked = {min(at, key=lambda have: abs(have - dose)) for dose in self.recipe.doses}
        points = []
        for dose in sorted(asked | {0.0}):
            value = 100 * float(self.headline(at[dose], VAL)[:, 0].mean())
            point: dict[str, Any] = {"dose": dose, "val": round(value, 3)}
            points.append(point if not dose else point | {"difference": as_plain(self.difference(base, at[dose], VAL))})
        chosen = max(points, key=lambda point: point["val"])["dose"]
        found = {"points": points, "chosen": chosen}
        if not chosen:
            return {**found, "verdict": "no dose is better on val than none"}
        gap = self.difference(base, at[chosen])
        return {**found, "test": as_plain(gap), "verdict": verdict(gap, self.metric, self.scenes, self.by_image)}


def as_plain(gap: Difference) -> dict[str, Any]:
    """A difference as JSON, with its word."""
    found = asdict(gap) | {"word": gap.word}
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 3), "deviation": round(deviation, 3)}


def _shown(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Images that were drawn in training, over all seeds: different ones in a run on average, and draws in all."""
    parts = {part for record in records for part in record["shown"]}
    found = {}
    for part in sorted(parts, key=lambda part: (part in MADE, part)):
        counts = [record["shown"].get(part, {"images": 0, "draws": 0}) for record in records]
        found[part] = {
            "images": round(float(np.mean([one["images"] for one in counts])), 1),
            "draws": sum(one["draws"] for one in counts),
        }
    return found
