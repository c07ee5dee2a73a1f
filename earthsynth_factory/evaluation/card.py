"""A block for the dataset card: what the data did for a model, in a table and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earthsynth_factory.evaluation.verdict import signed
from earthsynth_factory.report.dataset_card import markdown_table

NAMES = {
    "real": "real images alone",
    "augmented": "real, augmented",
    "copy-paste": "real, augmented, objects pasted, rare classes more often",
    "synthetic": "real + synthetic",
    "synthetic-augmented": "real + synthetic, both augmented",
    "two-streams": "real + synthetic, half of every batch each",
    "synthetic-first": "synthetic first, then real",
    "synthetic-alone": "synthetic alone",
    "noise": "control: synthetic labels, images of noise",
    "fewer-real": "half the real images",
    "more-real": "twice the real images",
    "compared": "real + the compared dataset",
}


def evaluation_card(document: Mapping[str, Any]) -> str:
    """Markdown."""
    parts = ["## What it does for a model", _how(document)]
    for share in document["shares"]:
        parts += [_title(share), arms_table(document, share), *_verdicts(share)]
    if document["looks"]:
        words = "\n".join(f"- {depth}: {sentence}" for depth, sentence in document["looks"]["words"].items())
        parts.append(f"How far the images lie from real ones, KID × 1000 by features of EfficientNet-Lite0:\n\n{words}")
    if document["warnings"]:
        parts.append("\n".join(f"- **{warning}**" for warning in document["warnings"]))
    return "\n\n".join(parts) + "\n"


def _how(document: Mapping[str, Any]) -> str:
    budget, units = document["budget"], document["test_units"]
    what = {"segment": "Segmentation", "detect": "Detection", "classify": "Classification"}[document["task"]]
    network = document["trainer"]["command"] if document["trainer"] else document["model"]["backbone"]
    size = (
        ""
        if document["trainer"]
        else f", {budget['steps']} steps of {budget['batch']} images at {budget['side']} pixels"
    )
    return (
        f"{what} with {network}{size} in every arm, {document['seeds']} paired seeds; {document['metric']} in points on "
        f"{document['looked_at']['test']} real test images ({units['count']} {units['are']} resampled). "
        "Intervals hold 95 %, over seeds and test."
    )


def _title(share: Mapping[str, Any]) -> str:
    return f"### {share['real_images']} real images ({share['share']:.0%})"


def arms_table(document: Mapping[str, Any], share: Mapping[str, Any]) -> str:
    """A row for every arm."""
    header = ("arm", "real", "synthetic", document["metric"], "difference", "worth")
    return markdown_table(header, [row(document, one) for one in share["arms"]])


def row(document: Mapping[str, Any], arm: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of an arm: name, real and synthetic images, score ± deviation over seeds, difference, worth."""
    score, gap = arm["scores"][document["metric"]], arm.get("difference")
    difference = f"{signed(gap['mean'])} [{signed(gap['low'])}, {signed(gap['high'])}]" if gap else "–"
    diverged = f" ({len(arm['diverged'])} diverged)" if arm["diverged"] else ""
    images = arm["images"]
    return (
        NAMES[arm["arm"]],
        str(images["real"]),
        str(images["synthetic"] or "–"),
        f"{score['mean']:.1f} ± {score['deviation']:.1f}{diverged}",
        difference,
        worth_in_words(arm),
    )


def worth_in_words(arm: Mapping[str, Any]) -> str:
    """`≈ 34 real images`; a dash if there is no curve to read it off."""
    count = arm.get("worth_real_images")
    if count is None:
        return "–"
    if count <= 0:
        return "none"
    sign = {"≈": "≈ ", ">": "more than ", "<": "less than "}[arm["worth_sign"]]
    return f"{sign}{count} real images"


def _verdicts(share: Mapping[str, Any]) -> list[str]:
    lines = [f"- {NAMES[arm['arm']]}: {arm['verdict']}" for arm in share["arms"] if "verdict" in arm]
    if "dose_curve" in share:
        curve = share["dose_curve"]
        lines.append(f"- best dose on val {curve['chosen']:g}, on test: {curve['verdict']}")
    if "against_compared" in share:
        lines.append(f"- {share['against_compared']['verdict']}")
    return ["\n".join(lines)] if lines else []
