"""Writing the report: numbers, charts and examples of a finished run laid into one page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.core.workspace import Workspace
from pipelines.report import facts, judging
from pipelines.report.charts import Part, histogram, reliability, scatter
from pipelines.report.examples import examples
from pipelines.seal import seal_folder

FOLDER = "report"
PAGE = f"{FOLDER}/index.html"

ASK = (
    (
        "Captions of one kind of sound, the surest first",
        """\
SELECT clip_id, caption, score, captions.licence
FROM captions JOIN classes USING (clip_id)
WHERE decision = 'accepted' AND class_name ILIKE '%dog%'
ORDER BY score DESC NULLS LAST""",
    ),
    (
        "Tags that are worth little though the listener is sure of them",
        """\
SELECT listener, name, clip_id, confidence, probability, calibration
FROM calibrated WHERE confidence >= 0.5 AND probability < 0.25 ORDER BY probability, clip_id""",
    ),
    (
        "All evidence behind one caption",
        """\
SELECT evidence.* FROM evidence JOIN (
  SELECT unnest(evidence_ids) AS evidence_id FROM candidates JOIN captions USING (candidate_id)
  ORDER BY captions.clip_id LIMIT 50) USING (evidence_id)""",
    ),
    (
        "What was refused, and which of its claims nothing supports",
        """\
SELECT captions.clip_id, caption, captions.score, unsupported
FROM captions JOIN scores USING (candidate_id) WHERE decision = 'refused' AND claims IS NOT NULL
ORDER BY captions.score""",
    ),
    (
        "Every claim that the evidence speaks against, and why",
        """\
SELECT clip_id, kind, claims.text, reason, candidates.text AS caption
FROM claims JOIN candidates USING (candidate_id, clip_id) WHERE verdict = 'unsupported' ORDER BY claim_id""",
    ),
    (
        "Candidates that miss the line by little",
        """\
SELECT clip_id, text, probability, line, gates.stratum
FROM verdicts JOIN gates USING (stratum) JOIN candidates USING (candidate_id, clip_id)
WHERE probability BETWEEN line - 0.05 AND line ORDER BY probability DESC, candidate_id""",
    ),
    (
        "Mixtures whose target is much quieter than the rest",
        """\
SELECT mixture_id, input_sdr_db, query, instruction_extract, tar, "offset", "size"
FROM mixtures WHERE input_sdr_db < -10 ORDER BY input_sdr_db""",
    ),
    (
        "Hours per licence; unknown is not free",
        """\
SELECT licence, count(*) AS clips, round(sum(duration_s) / 3600, 2) AS hours
FROM clips GROUP BY ALL ORDER BY clips DESC""",
    ),
    (
        "Every reject of one recording",
        """\
SELECT stage, error, message FROM rejects ORDER BY source, stage LIMIT 100""",
    ),
)
"""Questions to begin with; each runs as it stands."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def write_report(workspace: Workspace) -> str:
    """Write ``report/index.html`` and its seal into a finished run; return the page's path in the run folder.

    The page is a function of the run: the same run gives the same bytes.

    Raises:
        UserError: the folder holds no finished run.
        RunStopped: a tar that an example lies in is gone.
    """
    workspace.write(PAGE, page(workspace).encode())
    seal_folder(workspace, FOLDER)
    return PAGE


def page(workspace: Workspace) -> str:
    """Return the report of a finished run as HTML."""
    numbers: dict[str, Any] = {
        part.__name__: part(workspace)
        for part in (
            facts.summary,
            facts.stages,
            facts.rejects,
            facts.drops,
            facts.origins,
            facts.licences,
            facts.sources,
            facts.classes,
            facts.listeners,
            judging.gates,
            judging.captions,
            judging.claims,
            judging.writing,
            facts.mixtures,
            facts.shards,
        )
    }
    captions, mixtures = examples(workspace)
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "thousands": _thousands,
        "time": _time,
        "db": _db,
        "size": _size,
        "percent": _percent,
        "tiny": _tiny,
        "measured": _measured,
        "share": _share,
        "dollars": _dollars,
    }
    return environment.get_template("page.html.j2").render(
        **numbers,
        name=json.loads(workspace.read("run.json"))["name"],
        css=Markup((here / "page.css").read_text(encoding="utf-8")),
        charts=_charts(workspace, numbers["mixtures"]["points"]),
        reliability={row["listener"]: _reliability(row) for row in numbers["listeners"]["worth"]},
        caption_examples=captions,
        mixture_examples=mixtures,
        ask=ASK,
    )


def _charts(workspace: Workspace, points: list[tuple[float, float]]) -> dict[str, Markup | None]:
    """Return the charts of the page; None where there is nothing to draw."""
    kinds = ("accepted", "refused", "abstained")
    words = r"SELECT length(regexp_extract_all(caption, '\S+')) AS x, decision AS kind FROM captions"
    scores = "SELECT score AS x, decision AS kind FROM captions"
    probabilities = "SELECT probability AS x, decision AS kind FROM verdicts"
    durations, ratios = "SELECT duration_s AS x FROM clips", "SELECT input_sdr_db AS x FROM mixtures"
    drawn = {
        "durations": ("Duration of clips", "seconds", facts.bins(workspace, durations, low=0.0)),
        "words": ("Length of captions", "words", facts.bins(workspace, words, kinds, low=0.0, whole=True)),
        "scores": (
            "Score of captions",
            "share of claims that evidence supports",
            facts.bins(workspace, scores, kinds, low=0.0, step=0.1),
        ),
        "probabilities": (
            "Probability that a caption is right",
            "probability",
            facts.bins(workspace, probabilities, kinds, low=0.0, step=0.1),
        ),
        "snr": ("Ratio of target to the rest in the stored sound", "dB", facts.bins(workspace, ratios)),
    }
    charts = {name: histogram(*parts) if parts[2] else None for name, parts in drawn.items()}
    return charts | {"asked": scatter("Asked and achieved ratio", "dB", points) if points else None}


def _reliability(row: dict[str, Any]) -> Markup | None:
    """Return the diagram of one listener; None where nothing was measured."""
    parts: dict[bool, list[Part]] = {False: [], True: []}
    for each in row["reliability"]:
        parts[each["calibrated"]].append(Part(each["clips"], each["said"], each["labelled"]))
    return reliability(f"Reliability of {row['listener']}", parts[False], parts[True]) if parts[False] else None


def _printable(value: Any) -> Any:
    """Put U+FFFD in the place of control characters, which HTML forbids; our own markup is left as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _CONTROL.sub("\ufffd", value)
    return value


def _thousands(value: int) -> str:
    return f"{value:,}"


def _time(seconds: float) -> str:
    """Return a duration in the unit that suits it: ``3.42 h``, ``12.5 min``, ``4.2 s``."""
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:,.{2 if name == 'h' else 1}f} {name}"
    return f"{seconds:.2f} s" if 0 < seconds < 1 else f"{seconds:.1f} s"


def _db(value: float) -> str:
    return f"{value:+.1f} dB".replace("-", "−")


def _size(value: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:,.1f} {name}"
    return f"{value} bytes"


def _percent(part: int, whole: int) -> str:
    """Return a share without calling anything all or nothing that is not."""
    share = 100 * part / whole
    return f"{min(max(share, 0.1), 99.9) if 0 < part < whole else share:.3g} %"


def _measured(value: float | None) -> str:
    """Return three decimals, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _share(value: float) -> str:
    """Return a share in [0, 1] in percent, to three digits."""
    return f"{100 * value:.3g} %"


def _dollars(value: float) -> str:
    """Return dollars in cents, and what is less than one of them to two digits."""
    return f"{value:,.2f}" if value >= 1 or value == 0 else _tiny(value)


def _tiny(value: float) -> str:
    """Return two significant digits without an exponent."""
    return str(np.format_float_positional(value, 2, fractional=False, trim="-"))
