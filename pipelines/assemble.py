"""From a recipe to its stages, in the order of the data's flow. Anyone who wants to see the whole job reads this."""

from __future__ import annotations

from pipelines.core.stage import Stage
from pipelines.describe.stage import Describe
from pipelines.describe.write import Write
from pipelines.identity.groups import Groups
from pipelines.identity.stage import Fingerprint
from pipelines.ingest.frames import Frames
from pipelines.ingest.index import Index
from pipelines.ingest.stage import Ingest
from pipelines.listen.agree import Agree
from pipelines.listen.ask import Ask
from pipelines.listen.ask_here import AskHere
from pipelines.listen.calibrate import Calibrate
from pipelines.listen.embed import Embed
from pipelines.listen.heard import Heard
from pipelines.listen.listeners import Listeners
from pipelines.listen.models import Chosen, chosen
from pipelines.listen.publisher import Publisher
from pipelines.listen.stage import Listen
from pipelines.listen.transcribe import Transcribe
from pipelines.listen.zero_shot import ZeroShot
from pipelines.mix.paraphrase import ParaphrasePatterns
from pipelines.mix.patterns import Patterns
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.render import Render
from pipelines.mix.sources import Sources
from pipelines.refine.decide import Decide
from pipelines.refine.gate import Gate
from pipelines.refine.ground import Ground
from pipelines.refine.judge import Judge
from pipelines.refine.judged import Of
from pipelines.refine.probes import Probes
from pipelines.refine.score import Score
from pipelines.refine.similarity import Similarity
from pipelines.refine.strata import Strata
from pipelines.refine.texts import TextChecks
from pipelines.refine.trim import Trim
from pipelines.refine.weigh import Weigh
from pipelines.shards.captions import CaptionShards
from pipelines.unify.categorise import Categorise
from pipelines.unify.datasets import Datasets
from pipelines.unify.extract import ExtractTags
from pipelines.unify.names_stage import Names
from pipelines.unify.stage import Unify
from pipelines.unify.vocabulary import Vocabulary
from schemas.endpoints import endpoint_of
from schemas.errors import UserError
from schemas.recipe import Recipe
from taggers.base import Embedder, Listener
from taggers.chat import Chat


def stages_of(recipe: Recipe, check: bool = True) -> list[Stage]:
    """Return the stages of a recipe; without ``check`` none is asked whether what it needs is here.

    Raises:
        UserError: a stage finds a mistake in its part of the recipe.
    """
    audio, video, listen, shards = recipe.audio, recipe.video, recipe.listen, recipe.shards
    embedders = [chosen(choice, Embedder, listen.device) for choice in listen.embedders]
    stages: list[Stage] = [
        Index(recipe.data),
        Ingest(audio.sample_rate, audio.clip_s, audio.windows, audio.min_s, audio.channels, audio.hop_s),
        *([Frames(video.frames, video.height)] if video.frames else []),
        Fingerprint(),
        Groups(recipe.groups.val, recipe.groups.test),
        Publisher(),
        *(Listen(chosen(choice, Listener, listen.device)) for choice in listen.listeners),
        *(Embed(embedder) for embedder in embedders),
        *(ZeroShot(embedder, listen.zero_shot) for embedder in embedders if listen.zero_shot),
        *(AskHere(chosen(choice, Chat, listen.device), choice.chain) for choice in listen.chats),
        *(Ask(ask, endpoint_of(recipe.endpoints, ask.endpoint, f"listen.ask {ask.name}")) for ask in listen.ask),
        *_transcribers(recipe),
        *_classes(recipe),
    ]
    stages += [
        Listeners(tuple(stage for stage in stages if stage.writes == "evidence")),
        Heard(),
        Calibrate(),
        Agree(),
        *_captions(recipe, embedders),
        CaptionShards(shards.max_samples, shards.max_mb),
    ]
    stages += _mixtures(recipe, embedders)
    for stage in stages if check else ():
        stage.check()
    return stages


def _classes(recipe: Recipe) -> list[Stage]:
    """Return what brings names and words onto the ontology."""
    unify, endpoints = recipe.unify, recipe.endpoints
    datasets = tuple((each.name or each.adapter, each.adapter) for each in recipe.data.datasets)
    stages: list[Stage] = [Datasets(datasets), Vocabulary()]
    if unify.endpoint is not None:
        stages.append(Categorise(unify, endpoint_of(endpoints, unify.endpoint, "unify.endpoint")))
    stages.append(Names(unify.embeddings, unify.review, unify.endpoint is not None))
    if unify.tags is not None:
        stages.append(ExtractTags(unify, endpoint_of(endpoints, unify.tags, "unify.tags")))
    return [*stages, Unify(unify.embeddings, unify.tags is not None)]


def _mixtures(recipe: Recipe, embedders: list[Chosen[Embedder]]) -> list[Stage]:
    """Return what leads from clips and their classes to rendered mixtures; nothing where no set wants any."""
    mix, shards, unify, sets = recipe.mix, recipe.shards, recipe.unify, recipe.mix.every
    if not sets:
        return []
    stages: list[Stage] = [
        Sources(any(each.inferred for each in sets), unify.heard, recipe.describe.phrases, unify.tags is not None),
        Patterns(tuple(sorted({each.words.templates for each in sets}))),
    ]
    if mix.paraphrase is not None:
        endpoint = endpoint_of(recipe.endpoints, mix.paraphrase.endpoint, "mix.paraphrase.endpoint")
        stages.append(ParaphrasePatterns(mix.paraphrase, endpoint))
    embedder = next((each for each in embedders if each.name == shards.embedder), None)
    if shards.embedder is not None and embedder is None:
        names = ", ".join(each.name for each in embedders) or "none"
        raise UserError(f"shards.embedder: {shards.embedder!r} is none of listen.embedders ({names}); name one of them")
    return [*stages, PlanMixtures(sets, recipe.audio.sample_rate), Render(sets, shards, embedder)]


def _captions(recipe: Recipe, embedders: list[Chosen[Embedder]]) -> list[Stage]:
    """Return what leads from evidence to captions: proposed, judged by what captions of known truth teach, and written again."""
    describe, refine = recipe.describe, recipe.refine
    eyes = tuple(ask.name for ask in recipe.listen.ask if ask.attach == "pictures")

    def judges(of: Of, round: int = 1, writers: tuple[str, ...] = ()) -> list[Stage]:
        return [
            Score(of, round, writers, eyes, refine.sentences),
            *(Similarity(embedder, describe.phrases, of, round, writers) for embedder in embedders),
            *_judge(recipe, of, round, writers),
        ]

    def checked(round: int = 1, writers: tuple[str, ...] = ()) -> Stage:
        return TextChecks(tuple(refine.banned), "candidates", round, writers)

    stages: list[Stage] = [
        Describe(describe.phrases, tuple(describe.styles), describe.candidates, describe.published),
        *_writers(recipe, 1),
        *judges("candidates"),
        checked(),
        Probes(describe.phrases),
        *judges("probes"),
        Strata(tuple(dataset.name or dataset.adapter for dataset in recipe.data.datasets)),
        Gate(refine.false_accepts),
        Weigh(refine.min_agreement, refine.false_accepts),
    ]
    rounds = [(round, _writers(recipe, round)) for round in range(2, describe.rounds + 1)]
    if refine.trim:
        rounds.append((describe.rounds + 1, [Trim(describe.rounds + 1, eyes, refine.sentences)]))
    for round, writers in rounds:
        names = tuple(writer.name for writer in writers)
        judging = [*judges("candidates", round, names), checked(round, names)]
        scorers = tuple(stage.name for stage in judging)
        stages += [*writers, *judging, Weigh(refine.min_agreement, refine.false_accepts, round, names, scorers)]
    return [*stages, Ground(eyes, refine.sentences), Decide()]


def _writers(recipe: Recipe, round: int) -> list[Stage]:
    endpoints, phrases = recipe.endpoints, recipe.describe.phrases
    return [
        Write(writer, endpoint_of(endpoints, writer.endpoint, f"describe.write {writer.name}"), phrases, round)
        for writer in recipe.describe.write
    ]


def _judge(recipe: Recipe, of: Of, round: int, writers: tuple[str, ...]) -> list[Stage]:
    asked, phrases, sentences = recipe.refine.judge, recipe.describe.phrases, recipe.refine.sentences
    if asked is None:
        return []
    endpoint = endpoint_of(recipe.endpoints, asked.endpoint, "refine.judge")
    return [Judge(asked, endpoint, phrases, of, round, writers, sentences)]


def _transcribers(recipe: Recipe) -> list[Stage]:
    asked, key = recipe.listen.transcribe, "listen.transcribe"
    if asked is None:
        return []
    endpoint = endpoint_of(recipe.endpoints, asked.endpoint, f"{key}.endpoint")
    if asked.summariser is None:
        return [Transcribe(asked, endpoint)]
    return [Transcribe(asked, endpoint, endpoint_of(recipe.endpoints, asked.summariser, f"{key}.summariser"))]
