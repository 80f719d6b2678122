"""The command ``earloom evaluate``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from schemas.errors import UserError

if TYPE_CHECKING:  # the command line asks for the arguments alone
    from schemas.endpoints import Endpoint
    from taggers.base import Model

    Kind = TypeVar("Kind", bound=Model)


def add_evaluate(commands: Any) -> None:
    """Add the command to the parser's commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "evaluate", help="measure any separator on mixtures, beside the mixture, silence and an oracle"
    )
    command.add_argument(
        "--system",
        required=True,
        metavar="SYSTEM",
        help="package.module:function, a command line with {mixture}, {query}, {task} and {out}, a folder of its answers by key, or a "
        "training's folder or .safetensors file",
    )
    command.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="FOLDER",
        help="a run, an exported dataset folder, or a list that `earloom replay` wrote; may be repeated",
    )
    command.add_argument(
        "--task",
        choices=("extraction", "removal"),
        default="extraction",
        help="removal: the answer is all but what the query names; extraction if not given",
    )
    command.add_argument("--out", required=True, metavar="FOLDER", help="folder of the evaluation, of this machine")
    command.add_argument("--split", default="test", help="of runs and dataset folders; test if not given")
    command.add_argument(
        "--measures", metavar="A,B", help="names, with commas between; sdr,sdri,si_sdr,si_sdri,lsd if not given"
    )
    model = "a name, or {use: name, settings: {...}}"
    command.add_argument("--listener", metavar="MODEL", help=f"hears for kl_softmax and kl_sigmoid: {model}")
    command.add_argument("--embedder", metavar="MODEL", help=f"hears for fad and clap_score: {model}")
    command.add_argument(
        "--query-encoder", metavar="MODEL", help="what the system's queries go through, where only you know it"
    )
    command.add_argument(
        "--endpoint", metavar="FILE", help="YAML of an endpoint, as in a recipe; answers for answer_similarity"
    )
    command.add_argument("--device", choices=("cpu", "cuda"), help="cuda if there is a GPU, else cpu, if not given")
    command.add_argument("--no-keep", action="store_true", help="do not keep the system's answers")
    command.add_argument("--quiet", action="store_true", help="no progress, no table")


def run_evaluate(options: argparse.Namespace) -> str:
    """Evaluate as the arguments say; return the tables and where the rest lies, in lines.

    Raises:
        UserError: system, set, measure, model or folder cannot be used.
        RunStopped: the system answered nothing at all, or a server or this machine cannot go on.
    """
    try:
        import torch

        from pipelines.core.workspace import open_workspace
        from taggers.base import Embedder, Listener
        from trainers.evaluating.evaluate import evaluate
        from trainers.evaluating.judging import DEFAULT, Judge, checked
        from trainers.evaluating.page import PAGE
        from trainers.evaluating.results import JSON, REJECTS, ROWS
        from trainers.evaluating.sets import open_sets
        from trainers.evaluating.systems import system_of
        from trainers.evaluating.tables import text_of
    except ImportError as error:
        raise UserError(f"evaluating needs the package {error.name}; install the extra `train`") from None

    if "://" in options.out:
        raise UserError(f"--out {options.out}: must be a folder of this machine or a mounted one")
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here; use --device cpu")
    wanted = DEFAULT if options.measures is None else [name.strip() for name in options.measures.split(",")]
    given = {"listener": options.listener, "embedder": options.embedder, "model": options.endpoint}
    names = checked([name for name in wanted if name], [kind for kind, value in given.items() if value], options.task)
    sets = open_sets(options.set, options.split)
    endpoint = _endpoint(options.endpoint) if options.endpoint else None
    listener = _model("listener", options.listener, Listener, device)
    embedder = _model("embedder", options.embedder, Embedder, device)
    query_encoder = _model("query-encoder", options.query_encoder, Embedder, device)
    system = system_of(options.system, device)
    workspace = open_workspace(options.out)
    judge = Judge(names, device, workspace.root, listener, embedder, endpoint)
    facts = evaluate(workspace, system, sets, judge, query_encoder, not options.no_keep, options.quiet, options.task)
    where = f"{workspace.path(PAGE)}; {JSON}, {ROWS} and {REJECTS} beside it"
    return where if options.quiet else f"{text_of(facts)}\n\n{where}"


def _model(option: str, text: str | None, kind: type[Kind], device: str) -> Kind | None:
    """Return a model, loaded; None: none is asked for."""
    from pydantic import ValidationError

    from schemas.recipe import ModelChoice
    from schemas.strict_yaml import BadYaml, read_yaml
    from taggers import BadSettings, MissingExtra, MissingWeights, UnknownModel, create

    if text is None:
        return None
    try:
        read = read_yaml(text)
        choice = ModelChoice.model_validate({"use": read} if isinstance(read, str) else read)
        model = create(choice.use, kind, choice.settings)
    except (BadYaml, ValidationError):
        raise UserError(f"--{option} {text}: must be a model's name, or {{use: name, settings: {{...}}}}") from None
    except (UnknownModel, MissingExtra, BadSettings, MissingWeights) as error:
        raise UserError(f"--{option}: {error.args[0]}") from None
    model.load(device)
    return model


def _endpoint(name: str) -> Endpoint:
    from pydantic import ValidationError

    from schemas.endpoints import Endpoint
    from schemas.strict_yaml import BadYaml, read_yaml

    try:
        return Endpoint.model_validate(read_yaml(Path(name).expanduser().read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--endpoint {name}: cannot be read ({type(error).__name__}); name a YAML file") from None
    except BadYaml as error:
        raise UserError(f"--endpoint {name}{error.place}: cannot be read as YAML ({error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"--endpoint {name}: {key or 'it'}: {first['msg']}") from None
