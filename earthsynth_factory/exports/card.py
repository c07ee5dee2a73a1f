"""The card of a dataset on a hub: `README.md` with YAML front matter, classes, provenance and licence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.licences import Terms, terms_of
from earthsynth_factory.domain.taxonomy import Category

_KNOWN = frozenset(
    ("mit", "apache-2.0", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
).union(("cc-by-nc-sa-4.0", "odbl", "pddl", "unknown"))
"""Licences that hubs have an identifier for; any other is `other` with its own words."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def export_card(
    store: LabelledDataset, classes: Sequence[Category], counts: Mapping[str, int], files: Mapping[str, str], body: str
) -> bytes:
    """files: split → pattern of its data files; splits without images are left out. body: how to read it, Markdown."""
    terms, total = terms_of(store), sum(counts.values())
    identifier = _identifier(terms.licence)
    front = [
        f"pretty_name: {_quoted(store.name)}",
        f"license: {identifier}",
        *([f"license_name: {_quoted(terms.licence)}"] if identifier == "other" else []),
        "task_categories: [object-detection, image-segmentation]",
        'tags: ["remote-sensing", "satellite-imagery", "instance-segmentation"]',
        f"size_categories: [{_quoted(next((word for most, word in _SIZES if total < most), '1M<n<10M'))}]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - {{split: {_quoted(split)}, path: {_quoted(files[split])}}}" for split in files if counts[split]),
    ]
    rows = [f"| {number} | {_cell(category.name)} | {category.id} |" for number, category in enumerate(classes)]
    splits = ", ".join(f"{split} {count}" for split, count in counts.items())
    sections = [
        f"# {store.name}",
        f"{total} labelled images ({splits}). Version {store.version}.",
        body,
        "## Classes\n\n| label | class | id in masks |\n| --- | --- | --- |\n" + "\n".join(rows),
        _provenance(terms),
    ]
    return "\n".join(["---", *front, "---", "", "\n\n".join(sections), ""]).encode()


def _identifier(licence: str) -> str:
    word = re.sub(r"[\s_]+", "-", licence.strip().lower())
    word = {"cc0": "cc0-1.0"}.get(word, word)
    return word if word in _KNOWN else "other"


def _provenance(terms: Terms) -> str:
    lines = [f"- Licence: {terms.licence}"]
    lines += [f"- {title}: {text}" for title, text in (("Source", terms.source), ("Credit", terms.credit)) if text]
    return "## Provenance\n\n" + "\n".join(lines)


def _quoted(text: str) -> str:
    """Quoted as JSON does, which is YAML too."""
    return orjson.dumps(text).decode()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
