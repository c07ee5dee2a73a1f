"""One HTML file about an evaluation: the verdict, the arms, classes, curves, images gained and lost, and what was checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from earthsynth_factory.domain.taxonomy import Taxonomy, make_category
from earthsynth_factory.evaluation.card import NAMES, row
from earthsynth_factory.evaluation.classes import IGNORE
from earthsynth_factory.evaluation.curves import Point, gap_bar, lines
from earthsynth_factory.evaluation.members import TEST
from earthsynth_factory.evaluation.pool import Pool
from earthsynth_factory.evaluation.summary import Summary
from earthsynth_factory.evaluation.verdict import signed
from earthsynth_factory.report.html.markup import Html, count, escaped, facts, joined, plain, table, tag
from earthsynth_factory.report.html.model import ImagePixels
from earthsynth_factory.report.html.page import policy, resource
from earthsynth_factory.report.html.thumbnails import thumbnail

SHOWN = 8
"""Images that were gained, and that were lost."""

_META = Html(
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
)


def page(document: Mapping[str, Any], pool: Pool, summary: Summary) -> bytes:
    """The page as UTF-8."""
    style, title = resource("style.css"), f"What {_names(document['synthetic'])} does for a model"
    sections = [_lead(document, title)]
    for share in document["shares"]:
        sections += [*_share(document, share), *_gained_and_lost(share, pool, summary)]
    sections += [*_curves(document), _checks(document), _how(document)]
    head = joined([_META, tag("title", f"{plain(title, 120)} · earthsynth-factory"), tag("style", Html(style))])
    lock = tag("meta", http_equiv="Content-Security-Policy", content=policy(style))
    foot = tag("footer", tag("p", "Made by earthsynth-factory. This file needs no network and sends nothing."))
    body = joined([sections[0], tag("main", *sections[1:]), foot])
    return f'<!doctype html>\n<html lang="en"><head>{lock}{head}</head><body>{body}</body></html>\n'.encode()


def _names(paths: Sequence[str]) -> str:
    return ", ".join(plain(path.rstrip("/").rpartition("/")[2], 60) for path in paths)


def _lead(document: Mapping[str, Any], title: str) -> Html:
    lines_ = [tag("h1", title)]
    for share in document["shares"]:
        for arm in share["arms"]:
            if arm["arm"] == "synthetic":
                lines_.append(
                    tag("p", tag("strong", f"{share['real_images']} real images: "), arm["verdict"], class_="state")
                )
        if "against_compared" in share:
            lines_.append(tag("p", share["against_compared"]["verdict"], class_="state"))
    lines_ += [tag("p", warning, class_="state") for warning in document["warnings"]]
    return tag("header", *lines_)


def _share(document: Mapping[str, Any], share: Mapping[str, Any]) -> Iterator[Html]:
    yield tag("h2", f"{share['real_images']} real images ({share['share']:.0%})")
    head = (
        "arm",
        "real",
        "synthetic",
        f"{document['metric']}, mean ± deviation",
        "difference, 95 %",
        "worth",
        "rare classes",
    )
    rows = []
    for arm in share["arms"]:
        name, *cells = row(document, arm)
        rare = arm["scores"].get(f"{document['metric']}, rare classes")
        cells.append(f"{rare['mean']:.1f} ± {rare['deviation']:.1f}" if rare else "–")
        rows.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell, class_="number") for cell in cells)))
    yield table(head, rows, "Arms")
    for arm in share["arms"]:
        if "verdict" in arm and arm["arm"] != "synthetic":
            yield tag("p", f"{NAMES[arm['arm']]}: {arm['verdict']}", class_="note")
    yield from _classes(share)


def _classes(share: Mapping[str, Any]) -> Iterator[Html]:
    arms = {arm["arm"]: arm for arm in share["arms"]}
    if not {"real", "synthetic"} <= arms.keys() or not arms["real"]["by_class"]:
        return
    before, after = (arms[name]["by_class"] for name in ("real", "synthetic"))
    gaps = {name: after[name]["mean"] - before[name]["mean"] for name in before}
    most = max(1.0, *(abs(gap) for gap in gaps.values()))
    rows = []
    for name, gap in gaps.items():
        spread = after[name]["deviation"] + before[name]["deviation"]
        bar = gap_bar(gap, gap - spread, gap + spread, most, f"{name}: {signed(gap)}")
        cells = [f"{before[name]['mean']:.1f}", f"{after[name]['mean']:.1f}", signed(gap)]
        numbers = [tag("td", cell, class_="number") for cell in cells]
        rows.append(tag("tr", tag("th", plain(name, 60), scope="row"), *numbers, tag("td", bar, class_="number")))
    yield tag("h2", "By class")
    yield table(("class", "real", "real + synthetic", "difference", "± both deviations over seeds"), rows, "Classes")


def _curves(document: Mapping[str, Any]) -> Iterator[Html]:
    charts = []
    if len(document["real_curve"]) > 1:
        charts.append(_real_curve(document))
    for share in document["shares"]:
        if "dose_curve" in share:
            charts.append(_dose_curve(document, share))
    if charts:
        yield tag("h2", "Curves")
        yield tag("div", *charts, class_="charts")


def _real_curve(document: Mapping[str, Any]) -> Html:
    metric = document["metric"]
    real = [Point(one["images"], one["score"], one["score"], one["score"]) for one in document["real_curve"]]
    made = [
        Point(
            share["real_images"], score["mean"], score["mean"] - score["deviation"], score["mean"] + score["deviation"]
        )
        for share in document["shares"]
        for arm in share["arms"]
        if arm["arm"] == "synthetic" and (score := arm["scores"][metric])
    ]
    return lines([("real", real), ("real + synthetic", made)], "real images", metric, f"{metric} over real images")


def _dose_curve(document: Mapping[str, Any], share: Mapping[str, Any]) -> Html:
    points = []
    for one in share["dose_curve"]["points"]:
        gap = one.get("difference", {"low": 0.0, "high": 0.0, "mean": 0.0})
        points.append(Point(one["dose"], gap["mean"], gap["low"], gap["high"]))
    unit = f"{document['metric']} on val, beside none"
    return lines([(f"{share['real_images']} real images", points)], "synthetic images for a real one", unit, unit)


def _gained_and_lost(share: Mapping[str, Any], pool: Pool, summary: Summary) -> Iterator[Html]:
    arms = {arm["arm"]: f"{arm['arm']}-{share['share']:g}-{arm['dose']:g}" for arm in share["arms"]}
    if not {"real", "synthetic"} <= arms.keys() or summary.recipe.trainer:
        return
    before, after = (summary.by_test_image(arms[name]) for name in ("real", "synthetic"))
    order = np.argsort(before - after, kind="stable")
    for title, chosen in (("Test images gained most", order[:SHOWN]), ("Test images lost most", order[::-1][:SHOWN])):
        kept = [one for one in chosen if (after[one] - before[one]) * (1 if "gained" in title else -1) > 0]
        if kept:
            yield tag("h2", title)
            cards = [_card(pool, int(pool.of(TEST)[one]), f"{before[one]:.0f} → {after[one]:.0f}") for one in kept]
            yield tag("ul", *cards, class_="wall")


def _card(pool: Pool, place: int, words: str) -> Html:
    mask = np.asarray(pool.masks[place])
    taxonomy = Taxonomy(tuple(make_category(n + 1, name) for n, name in enumerate(pool.classes.names)))
    pixels = ImagePixels(
        np.asarray(pool.images[place]), np.where(mask == IGNORE, 0, mask), np.asarray(pool.numbers[place])
    )
    found = thumbnail(pixels, taxonomy)
    layers = [tag("img", src=found.image, alt="")]
    if found.labels:
        layers.append(tag("img", src=found.labels, alt="labels", class_="layer"))
    picture = tag("span", *layers, class_="picture")
    name = tag("span", plain(pool.names[place], 60), class_="name")
    return tag("li", tag("div", picture, tag("span", words, class_="what"), name, class_="card"))


def _checks(document: Mapping[str, Any]) -> Html:
    """What every arm was shown, and what was left out."""
    rows = []
    for share in document["shares"]:
        for arm in share["arms"]:
            for part, found in arm["shown"].items():
                cells = [
                    part,
                    f"{found['images']:g}",
                    count(found["draws"]),
                    ", ".join(map(str, arm["diverged"])) or "none",
                ]
                name = f"{NAMES[arm['arm']]}, {share['real_images']}"
                rows.append(
                    tag("tr", tag("th", name, scope="row"), *(tag("td", cell, class_="number") for cell in cells))
                )
    head = ("arm", "images of", "different ones in a run", "draws, all seeds", "seeds that diverged")
    notes = joined(tag("p", note, class_="note") for note in document["notes"])
    return joined([tag("h2", "What was shown"), table(head, rows, "Images shown in training"), notes])


def _how(document: Mapping[str, Any]) -> Html:
    budget, model, units = document["budget"], document["model"], document["test_units"]
    network = (
        document["trainer"]["command"] if document["trainer"] else f"{model['backbone']}, weights {model['weights']}"
    )
    rows = [
        ("real", document["real"]),
        ("synthetic", ", ".join(document["synthetic"])),
        ("task", document["task"]),
        ("network", network),
        (
            "a run",
            "the trainer's own" if document["trainer"] else f"{budget['steps']} steps of {budget['batch']} images",
        ),
        ("pixels", str(budget["side"])),
        ("seeds", f"{document['seeds']}, paired: one seed has the same first weights and real images in every arm"),
        ("resampled", f"{units['count']} test {units['are']}"),
        ("training", f"{document['training_seconds'] / 60:.0f} min of one process"),
        ("classes", ", ".join(document["classes"]["judged"])),
    ]
    if document["looks"]:
        seen = document["looks"]
        rows += [(f"KID × 1000, {depth} features", words) for depth, words in seen["words"].items()]
        rows.append(
            ("memorised", f"{seen['memorised']} of {seen['images']['synthetic']} lie as near a real one as a copy")
        )
        rows.append(("diversity", f"{seen['diversity']:.2f} of that of real images, by nearest neighbours"))
    return joined([tag("h2", "How it was measured"), facts((escaped(a), escaped(plain(b, 500))) for a, b in rows)])
