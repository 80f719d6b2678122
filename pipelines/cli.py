"""``earloom ...`` and ``python -m pipelines ...``: the commands, and the three exit codes.

0: done and every law holds. 1: finished or stopped with something wrong, said in words. 2: the user's mistake, one line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipelines.certify_command import add_certify
from pipelines.llm import fake
from pipelines.publish.command import add_export
from pipelines.replay.command import add_replay
from pipelines.shards.command import add_shards
from schemas.errors import RunStopped, UserError
from trainers.evaluating.command import add_evaluate
from trainers.fit.command import add_train


class _Parser(argparse.ArgumentParser):
    """An argument parser that keeps to one line when something is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raise the message as a user's mistake."""
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(prog="earloom", description="Recordings in, captions and separation mixtures out.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def recipe_arguments(command: argparse.ArgumentParser, out: str) -> None:
        command.add_argument("recipe", help="recipe file, e.g. configs/demo.yaml")
        command.add_argument("--out", required=out == "needed", metavar="RUN", help="run folder, or an fsspec URL")
        command.add_argument(
            "--set", action="append", default=[], metavar="a.b=c", help="override a recipe value; may be repeated"
        )

    def run_argument(command: argparse.ArgumentParser) -> None:
        command.add_argument("run", metavar="RUN", help="run folder")

    run = commands.add_parser("run", help="run a recipe; run it again to go on where it stopped")
    recipe_arguments(run, "needed")
    run.add_argument("--engine", choices=("ray", "inline"), default="ray")
    run.add_argument("--workers", type=_positive, metavar="N", help="CPUs to use; all of them if not given")
    run.add_argument(
        "--ray-address", metavar="ADDRESS", help="a running Ray cluster; else RAY_ADDRESS, else one of our own"
    )
    run.add_argument("--quiet", action="store_true", help="no progress, no summary")
    recipe_arguments(
        commands.add_parser("plan", help="say what a run would do and why, and do nothing"), "of a new run if not given"
    )
    status = commands.add_parser("status", help="say what a run holds")
    run_argument(status)
    status.add_argument("--json", action="store_true")
    run_argument(
        commands.add_parser("verify", help="prove from the files alone that a run is whole and keeps every law")
    )
    query = commands.add_parser("query", help="ask a run in SQL")
    run_argument(query)
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--format", choices=("table", "json", "csv"), default="table")
    explain = commands.add_parser("explain", help="tell the whole story of a clip or a mixture")
    run_argument(explain)
    explain.add_argument("id", metavar="ID")
    explain.add_argument("--json", action="store_true")
    run_argument(commands.add_parser("report", help="write a page with plots and players"))
    add_export(commands)
    add_certify(commands)
    add_shards(commands)
    add_replay(commands)
    add_train(commands)
    add_evaluate(commands)
    labels = commands.add_parser("labels", help="what the datasets' labels mean")
    of_labels = labels.add_subparsers(dest="labels_command", required=True, metavar="review")
    review = of_labels.add_parser(
        "review",
        help="write the names that nobody is sure of into a file for a person, which a recipe's unify.review reads",
    )
    run_argument(review)
    review.add_argument("--out", required=True, metavar="FILE.csv", help="a new file")
    fake.arguments(
        commands.add_parser("serve-fake", help="answer like a server of language models, without a model, for dry runs")
    )
    catalog = commands.add_parser(
        "catalog", help="who stands in which dataset, with Apache Beam: recordings, groups, leaks, duplicates, overlap"
    )
    of_catalog = catalog.add_subparsers(dest="catalog_command", metavar="build|overlap|stats", required=True)
    build = of_catalog.add_parser(
        "build", help="build a catalogue of runs, and of recipes' datasets by their metadata alone"
    )
    build.add_argument("sources", nargs="+", metavar="RUN|RECIPE", help="run folders and recipe files, in any mix")
    build.add_argument("--out", required=True, metavar="CATALOGUE", help="folder to write the catalogue to")
    build.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", help="override a value of every recipe; may be repeated"
    )
    build.add_argument("--runner", default="FnApiRunner", help="name of any Beam runner")
    build.add_argument(
        "--runner-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option of that runner, as --runner-option=--parallelism=8; may be repeated",
    )
    for name, words in (
        ("overlap", "show the recordings that each two datasets share, and what blacklists miss"),
        ("stats", "show the statistics of each dataset"),
    ):
        shown = of_catalog.add_parser(name, help=words)
        shown.add_argument("catalogue", metavar="CATALOGUE", help="what was given to `catalog build` as --out")
    sample = commands.add_parser("sample", help="write the sample corpora: synthesised sounds in official layouts")
    sample.add_argument("folder", metavar="DIR")
    models = commands.add_parser("models", help="what can listen: list it, try it, fetch its weights")
    of_models = models.add_subparsers(dest="models_command", metavar="list|check|pull", required=True)
    listed = of_models.add_parser("list", help="which models there are, and where their weights are looked for")
    listed.add_argument("--json", action="store_true")
    checked = of_models.add_parser(
        "check", help="compare a model's weights with what is published, and let it hear noise"
    )
    checked.add_argument("model", metavar="MODEL")
    checked.add_argument("--device", default="cpu", help="device to load it on")
    checked.add_argument(
        "--set", action="append", default=[], metavar="a=b", help="a setting of the model; may be repeated"
    )
    pulled = of_models.add_parser("pull", help="fetch a model's published weights from their official place")
    pulled.add_argument("model", metavar="MODEL")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        return _COMMANDS[options.command](options)
    except UserError as error:
        print(f"earloom: {error}", file=sys.stderr)
        return 2
    except RunStopped as error:
        print(f"earloom: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("earloom: stopped by you", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python would complain once more while it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        from pipelines.core.workspace import is_host_fault

        if not is_host_fault(error):
            raise
        where = error.filename or "the output"
        print(f"earloom: {where}: {error.strerror}; mend it and run the same command again", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    from pipelines.core.progress import Progress
    from pipelines.listen.deaf import deaf
    from pipelines.run import prepare, run
    from pipelines.status import summary
    from schemas.load import load_recipe

    if os.environ.get("RAY_JOB_ID") or os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"):
        _refuse_lost_output(options.out)
    job = prepare(load_recipe(options.recipe, tuple(options.set)), options.out)
    work = run(job, options.engine, options.workers, options.ray_address, Progress(options.quiet))
    if not options.quiet:
        print(summary(job.workspace, work))
    unexpected = sum(marker.unexpected for node in work.nodes for marker in work.markers(node))
    clips = sum(marker.rows_out for node in work.nodes if node.stage.writes == "clips" for marker in work.markers(node))
    if not clips:
        print("earloom: finished, but not one recording could be used; `rejects` says why of each", file=sys.stderr)
        return 1
    if lines := deaf(work):
        print("earloom: finished, but " + "; ".join(lines), file=sys.stderr)
        return 1
    if unexpected:
        print(
            f"earloom: finished, but {unexpected} rows failed in ways that no rule foresaw; they are the rows of `rejects` "
            "whose error begins with unexpected_",
            file=sys.stderr,
        )
        return 1
    return 0


def _refuse_lost_output(out: str) -> None:
    if "://" not in out and not os.path.isabs(out):
        raise UserError(
            f"--out {out}: a submitted job runs in a copy of the working folder that is removed with it; "
            "give an absolute path on a shared disk, or a URL"
        )


def _plan(options: argparse.Namespace) -> int:
    from pipelines.core.work import Work
    from pipelines.estimate import estimates
    from pipelines.run import prepare
    from pipelines.status import plan_table
    from schemas.load import load_recipe

    with tempfile.TemporaryDirectory() as nowhere:
        job = prepare(load_recipe(options.recipe, tuple(options.set)), options.out or f"{nowhere}/new", make=False)
    print(plan_table(Work(job.nodes, job.context)))
    for stage, expected in estimates(job.recipe, job.nodes, job.context):
        words = expected.words() if expected else "about what is not there yet, and so not told beforehand"
        print(f"\n{stage}, of the whole run: {words}")
    return 0


def _status(options: argparse.Namespace) -> int:
    from pipelines.status import status, status_table

    state = status(_workspace(options.run))
    print(json.dumps(state) if options.json else status_table(state))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pipelines.verify import verify

    verdict = verify(_workspace(options.run))
    looked = ", ".join(f"{count:,} {what}" for what, count in verdict.looked_at.items())
    for note in verdict.notes:
        print(f"note: {note}")
    if not verdict.problems:
        print(f"every law holds: {looked}")
        return 0
    for problem in verdict.problems[:20]:
        print(problem)
    print(
        f"earloom: {len(verdict.problems)} problems in {options.run}"
        + (", the first 20 shown" if len(verdict.problems) > 20 else ""),
        file=sys.stderr,
    )
    return 1


def _query(options: argparse.Namespace) -> int:
    from pipelines.catalog import query

    print(query.render(*query.rows(_workspace(options.run), options.sql), options.format))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from pipelines.catalog.explain import explain, tell

    story = explain(_workspace(options.run), options.id)
    print(json.dumps(story, default=str, ensure_ascii=False) if options.json else tell(story))
    return 0


def _report(options: argparse.Namespace) -> int:
    from pipelines.report import write_report

    workspace = _workspace(options.run)
    print(f"report: {workspace.path(write_report(workspace))}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from pipelines.publish.command import run_export

    print(run_export(_workspace(options.run), options))
    return 0


def _certify(options: argparse.Namespace) -> int:
    from pipelines.certify_command import run_certify

    print(run_certify(_workspace(options.run), options))
    return 0


def _shards(options: argparse.Namespace) -> int:
    from pipelines.shards.command import run_shards

    print(run_shards(options))
    return 0


def _replay(options: argparse.Namespace) -> int:
    from pipelines.replay.command import run_replay

    print(run_replay(options))
    return 0


def _train(options: argparse.Namespace) -> int:
    from trainers.fit.command import run_train

    if said := run_train(options):
        print(said)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from trainers.evaluating.command import run_evaluate

    print(run_evaluate(options))
    return 0


def _labels(options: argparse.Namespace) -> int:
    from pipelines.unify.review import write_review

    names = write_review(_workspace(options.run), Path(options.out).expanduser())
    print(f"{options.out}: {names:,} names; edit `classes`, then set unify.review to the file")
    return 0


def _catalog(options: argparse.Namespace) -> int:
    from pipelines.catalog.show import blacklist_table, overlap_table, statistics_table

    if options.catalog_command == "build":
        return _build_catalog(options)
    if options.catalog_command == "overlap":
        shown = [overlap_table(options.catalogue), blacklist_table(options.catalogue)]
    else:
        shown = [statistics_table(options.catalogue)]
    print("\n\n".join(filter(None, shown)))
    return 0


def _build_catalog(options: argparse.Namespace) -> int:
    from pipelines.catalog.build import build_catalog, catalog_tables

    if any((folder / "run.json").exists() for folder in Path(options.out).expanduser().absolute().parents):
        raise UserError(f"--out {options.out}: lies in a run folder; name one outside of it")
    counts = build_catalog(options.sources, options.out, options.runner, options.runner_option, tuple(options.set))
    print(catalog_tables(options.out))
    print(
        f"\n{counts['recordings']:,} recordings, {counts['leaks']:,} of them in more than one of train, val and test; "
        f"{counts['duplicates']:,} captions stand more than once; tables in {options.out}"
    )
    return 0


def _sample(options: argparse.Namespace) -> int:
    from pipelines.sample.corpora import write_corpora

    folder = Path(options.folder).expanduser()
    if (folder / "run.json").exists():
        raise UserError(f"{folder}: is a run folder; name another for the sample corpora")
    try:
        counts = write_corpora(folder)
    except (FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); name a folder") from None
    print(f"{options.folder}: " + ", ".join(f"{count} rows of {corpus}" for corpus, count in counts.items()))
    return 0


def _models(options: argparse.Namespace) -> int:
    from taggers.registry import BadSettings, MissingExtra, UnknownModel
    from taggers.weights import MissingWeights

    commands = {"list": _models_list, "check": _models_check, "pull": _models_pull}
    try:
        return commands[options.models_command](options)
    except (UnknownModel, MissingExtra, BadSettings, MissingWeights) as error:
        raise UserError(str(error.args[0])) from None


def _models_list(options: argparse.Namespace) -> int:
    from pipelines.catalog.query import render
    from taggers.models import listing

    shown = listing()
    names = ["model", "kind", "rate", "state", "weights", "sha256", "settings"]
    rows: list[tuple[object, ...]] = [
        (
            model.name,
            model.kind,
            model.rate,
            model.state,
            str(model.weights) if model.weights else None,
            ", ".join(sha256 if options.json else sha256[:12] for sha256 in model.sha256.values()) or None,
            ", ".join(model.settings) or None,
        )
        for model in shown
    ]
    print(render(names, rows, "json" if options.json else "table"))
    return 0


def _models_check(options: argparse.Namespace) -> int:
    import yaml

    from taggers.models import check, show, verify
    from taggers.registry import BadSettings, MissingExtra, UnknownModel, find
    from taggers.weights import MissingWeights

    settings = {}
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: must read a=b, e.g. --set threshold=0.3")
        try:
            settings[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise UserError(f"--set {text}: the value is not YAML; quote it") from None
    shown = show(options.model)
    weights = getattr(find(options.model), "weights", None)
    if weights and shown.weights and "weights" not in settings:
        wrong = verify(weights, shown.weights) if shown.state == "ready" else []
        if wrong:
            raise UserError(f"{options.model}: {wrong[0]}; fetch them anew with `earloom models pull {options.model}`")
    try:
        found = check(options.model, settings, options.device)
    except (UserError, UnknownModel, MissingExtra, MissingWeights, BadSettings):
        raise
    except Exception as error:
        words = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise UserError(
            f"{options.model}: does not work on {options.device} ({type(error).__name__}: {words})"
        ) from None
    print(
        f"{options.model}: {found.revision}; loaded in {found.load_s:.1f} s; "
        f"10 s of noise in {found.hear_s:.2f} s on {options.device}: {found.gave}"
    )
    return 0


def _models_pull(options: argparse.Namespace) -> int:
    from taggers.models import show
    from taggers.pull import pull
    from taggers.registry import find

    weights, folder = getattr(find(options.model), "weights", None), show(options.model).weights
    if weights is None or folder is None:
        raise UserError(f"{options.model}: has no weights to fetch")
    try:
        paths = pull(weights, folder)
    except ValueError as error:  # what came is not what is published
        raise UserError(f"{options.model}: {error}") from None
    print("\n".join(map(str, paths)))
    return 0


def _workspace(root: str):  # type: ignore[no-untyped-def]
    from pipelines.core.workspace import open_workspace

    if "://" not in root and not os.path.isdir(os.path.expanduser(root)):
        raise UserError(f"{root}: no such folder; name the one that was given as --out")
    return open_workspace(root, make=False)


_COMMANDS = {
    "run": _run,
    "plan": _plan,
    "status": _status,
    "verify": _verify,
    "query": _query,
    "explain": _explain,
    "report": _report,
    "export": _export,
    "certify": _certify,
    "shards": _shards,
    "replay": _replay,
    "train": _train,
    "evaluate": _evaluate,
    "labels": _labels,
    "serve-fake": fake.main,
    "catalog": _catalog,
    "sample": _sample,
    "models": _models,
}


if __name__ == "__main__":
    sys.exit(main())
