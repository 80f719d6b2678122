"""The cards of the demo's models: what they are, and what was measured, from what their training left."""

from __future__ import annotations

from typing import Any

WHAT = {
    "tagger": (
        "demo_tagger",
        "A framewise tagger: four convolutions, a bidirectional GRU, and scores per 40 ms and per clip, from a log-mel "
        "spectrogram at 16 kHz. `taggers/crnn.py` is its network, `taggers/demo_tagger.py` what it says of a sound.",
    ),
    "clap": (
        "demo_clap",
        "transformers' `ClapModel`, tiny: three Swin blocks over ten seconds at 16 kHz, two layers of RoBERTa over whole words, "
        "and 128 dimensions between them. `ClapModel.from_pretrained` reads this folder.",
    ),
}

CARD = """# {name}

{what} {weights:,} weights, float32.

## What it knows

The sounds and words of Earloom's sample corpora, which are synthesised from a few formulas, **and nothing else**. It is
here so that the demo tags, times and scores without a download. It was never given a recording: on one, its answers mean
nothing, and its scores do not say so.
{knows}

## What it was trained on

The caption shards of `configs/demo_models.yaml`, run on {trained} sample worlds (seeds {train_seeds}): publishers' labels,
timed labels and captions; no model's answers. {steps:,} steps, batches of {batch}, seed {seed}, by `earloom train` (task
`{task}`). `make demo-models` trains it again.

## What was measured

On the {held} (seed{s} {test_seeds}), of which training saw no clip; the demo's own world (seed 0) is neither trained nor
measured on. 95% intervals are bootstrap percentiles.

| measure | value [95% interval] | units | by chance |
|---|---|---|---|
{rows}

{variants}
"""


def card(kind: str, report: dict[str, Any]) -> str:
    """Return the card of a model, in Markdown.

    Args:
        kind: ``tagger`` or ``clap``.
        report: its ``measures.json``.
    """
    name, what = WHAT[kind]
    worlds = report["worlds"]
    held = worlds["measured_on"]
    rows = [
        f"| {measure} | {cell(row)} | {row['n']} | {'' if row['chance'] is None else format(row['chance'], '.3f')} |"
        for measure, row in report["measures"].items()
    ]
    known = (
        f"Its classes: {'; '.join(report['classes'])}." if "classes" in report else f"It knows {report['words']} words."
    )
    return CARD.format(
        name=name,
        what=what,
        weights=report["weights"],
        knows=known,
        trained=len(worlds["trained_on"]),
        train_seeds=_listed(worlds["trained_on"]),
        task=report["task"],
        steps=report["steps"],
        batch=report["batch"],
        seed=report["seed"],
        held=f"{len(held)} further worlds" if len(held) > 1 else "further world",
        s="s" if len(held) > 1 else "",
        test_seeds=_listed(held),
        rows="\n".join(rows),
        variants="\n".join(f"- **{measure}**: {words}" for measure, words in report["variants"].items()),
    )


def cell(row: dict[str, Any]) -> str:
    """Return a value with its interval, to three decimals."""
    if row["value"] is None:
        return "none"
    return f"{row['value']:.3f}" + ("" if row["ci95"] is None else " [{:.3f}, {:.3f}]".format(*row["ci95"]))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
