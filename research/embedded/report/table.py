"""The report as Markdown: a table for the page of figures and the pipeline's card, its CLIP rows for the CLIP's card."""

from __future__ import annotations

from earthsynth_factory.domain.taxonomy import earthsynth
from research import markdown
from research.embedded.report.distance import Distance
from research.embedded.report.measure import Report

Row = tuple[str, str, str]

READABLE = 0.05
"""IoU on real images below which the segmenter does not know a category well enough to judge images by it."""


def summary(report: Report) -> str:
    """Every measure in a row, beside what it compares with."""
    rows = [*_image_rows(report), *_clip_rows(report), *_useful_rows(report)]
    return f"{_head(report)}\n\n{markdown.table(('measure', 'value', 'beside it'), rows)}"


def clip_summary(report: Report) -> str:
    """The CLIP's rows alone."""
    return markdown.table(("measure", "value", "beside it"), _clip_rows(report))


def by_category(report: Report) -> str:
    """IoU on real and generated images, their ratio if real ones are readable, and CLIP's top-1, by category."""
    rows = []
    for category, real in report.fidelity.real.items():
        made = report.fidelity.generated.get(category, 0.0)
        right, tried = report.separation.top1_by_category.get(category, (0, 0))
        rows.append(
            (
                earthsynth()[category].name,
                f"{real:.1%}",
                f"{made:.1%}",
                f"{made / real:.0%}" if real >= READABLE else "–",
                f"{right / tried:.0%} of {tried}" if tried else "–",
            )
        )
    return markdown.table(("category", "IoU on real", "IoU on generated", "share", "CLIP top-1"), rows)


def _head(report: Report) -> str:
    models, found = report.models, report.usefulness
    return (
        f"{models['name']}, {models['steps']} steps, guidance {models['guidance']:g}; {report.held_out} held-out crops, "
        f"one image generated for the mask of each; seed {report.seed}. Mask fidelity is judged by the embedded segmenter, "
        f"which has seen real crops alone."
        + (" Each run of `evaluate`: {steps} steps of {batch}.".format(**found["budget"]) if found else "")
    )


def _image_rows(report: Report) -> list[Row]:
    copied, fidelity = report.reconstruction, report.fidelity
    count = report.generated.count
    return [
        ("autoencoder, PSNR", f"{copied.psnr:.1f} dB", f"{report.held_out} crops"),
        ("autoencoder, SSIM", f"{copied.ssim:.3f}", f"{report.held_out} crops"),
        *(
            (
                f"KID × 1000, {depth} level",
                _kid(report.generated, depth),
                f"real against real {_kid(report.floor, depth)}, reconstructions {_kid(report.reconstructed, depth)}; "
                f"{count} against {count}, features of EfficientNet-Lite0, which is also the training's teacher",
            )
            for depth in report.generated.kid
        ),
        (
            "mask fidelity, mIoU on generated images",
            f"{fidelity.generated_miou:.1%}",
            f"{fidelity.real_miou:.1%} on the real images of the same masks: {fidelity.ratio:.0%} of it (goal: 80%); "
            f"{len(fidelity.real)} categories",
        ),
    ]


def _clip_rows(report: Report) -> list[Row]:
    found = report.separation
    tried = sum(pair[1] for pair in found.top1_by_category.values())
    return [
        (
            "CLIP, zero-shot top-1",
            f"{found.top1:.1%}",
            f"{found.mean_top1:.1%} as the mean over {len(found.top1_by_category)} categories (goal: 70%); {tried} patches",
        ),
        ("CLIP, right against wrong prompts, AUC", f"{found.auc:.3f}", "0.5 is chance"),
        ("CLIP, cosine of the right prompt less the best wrong one", f"{found.margin:+.3f}", "mean over patches"),
    ]


def _useful_rows(report: Report) -> list[Row]:
    found = report.usefulness
    if found is None:
        return []
    share, metric = found["shares"][0], found["metric"]
    real = share["real_images"]
    return [
        (
            f"{metric} on held-out real crops, trained on {real} real crops ({real / report.training:.0%})"
            + (f" and {arm['images']['synthetic']} {_KINDS[arm['arm']]}" if arm["arm"] in _KINDS else ""),
            f"{arm['scores'][metric]['mean']:.1f} ± {arm['scores'][metric]['deviation']:.1f}",
            arm.get("verdict", f"`evaluate`: {found['seeds']} seeds, standard deviation"),
        )
        for arm in share["arms"]
    ]


_KINDS = {
    "synthetic": "generated ones",
    "compared": "generated ones, the half that R-Filter's `clip_score` rates higher",
}


def _kid(distance: Distance, depth: str) -> str:
    return f"{1000 * distance.kid[depth]:.0f} ± {1000 * distance.spread[depth]:.0f}"
