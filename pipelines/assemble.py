"""From a recipe to its stages, in the order of the data's flow. Anyone who wants to see the whole job reads this."""

from __future__ import annotations

from pipelines.core.stage import Stage
from pipelines.describe.stage import Describe
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
from pipelines.listen.models import chosen
from pipelines.listen.publisher import Publisher
from pipelines.listen.stage import Listen
from pipelines.listen.transcribe import Transcribe
from pipelines.listen.zero_shot import ZeroShot
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.render import Render
from pipelines.refine.decide import Decide
from pipelines.refine.score import Score
from pipelines.refine.similarity import Similarity
from pipelines.shards.captions import CaptionShards
from pipelines.unify.stage import Unify
from schemas.endpoints import endpoint_of
from schemas.recipe import Recipe
from taggers.base import Embedder, Listener
from taggers.chat import Chat


def stages_of(recipe: Recipe) -> list[Stage]:
    """Return the stages of a recipe.

    Raises:
        UserError: a stage finds a mistake in its part of the recipe.
    """
    audio, video, listen, mix, shards = recipe.audio, recipe.video, recipe.listen, recipe.mix, recipe.shards
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
        Unify(),
    ]
    stages += [
        Listeners(tuple(stage for stage in stages if stage.writes == "evidence")),
        Heard(),
        Calibrate(),
        Agree(),
        Describe(
            recipe.describe.phrases,
            tuple(recipe.describe.styles),
            recipe.describe.candidates,
            recipe.describe.published,
        ),
        Score(),
        *(Similarity(embedder) for embedder in embedders),
        Decide(recipe.refine.min_agreement),
        CaptionShards(shards.max_samples, shards.max_mb),
    ]
    if mix.per_clip:
        stages += [
            PlanMixtures(
                mix.per_clip, mix.duration_s, audio.sample_rate, mix.snr_db, mix.inferred, recipe.describe.phrases
            ),
            Render(mix.peak, shards.max_samples, shards.max_mb),
        ]
    for stage in stages:
        stage.check()
    return stages


def _transcribers(recipe: Recipe) -> list[Stage]:
    asked, key = recipe.listen.transcribe, "listen.transcribe"
    if asked is None:
        return []
    endpoint = endpoint_of(recipe.endpoints, asked.endpoint, f"{key}.endpoint")
    if asked.summariser is None:
        return [Transcribe(asked, endpoint)]
    return [Transcribe(asked, endpoint, endpoint_of(recipe.endpoints, asked.summariser, f"{key}.summariser"))]
