"""What can be known of an endpoint before anything is sent: its key, its folder of responses, and whether it can serve at all."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.core.workspace import Workspace, open_workspace
from pipelines.llm.transport import check_client, secret_of
from schemas.endpoints import Endpoint
from schemas.errors import UserError


def check_endpoint(key: str, name: str, endpoint: Endpoint, *, chats: bool = True) -> None:
    """Look at what a stage needs of its endpoint, without the network, and make nothing.

    Args:
        key: the recipe's that names the endpoint.
        name: the endpoint's, in the recipe.
        endpoint: the endpoint.
        chats: whether it is asked in conversations; else it is sent sounds to transcribe.

    Raises:
        UserError: its client is not installed, the environment has no key, the folder of responses cannot be written, or
            what it is asked for has no batches.
    """
    check_client(key)
    secret_of(name, endpoint)
    if endpoint.transport == "batch" and not chats:
        raise UserError(f"{key}: endpoints.{name}.transport: transcriptions have no batches; set it to online")
    place = place_of(name, endpoint, make=False)
    if place and place.local:
        nearest = next(folder for folder in (Path(place.root), *Path(place.root).parents) if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise UserError(f"endpoints.{name}.responses: {nearest} cannot be written; name a folder that can")


def place_of(name: str, endpoint: Endpoint, make: bool = True) -> Workspace | None:
    """Return the folder that runs share; None if the endpoint names none. Raises UserError: it cannot be one."""
    if endpoint.responses is None:
        return None
    try:
        return open_workspace(endpoint.responses, make)
    except UserError as error:
        raise UserError(f"endpoints.{name}.responses: {str(error).removeprefix('--out ')}") from None
