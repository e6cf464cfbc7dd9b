"""Where components keep their state: what `up` and `operator` ask in the same words."""

from typing import Annotated

import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.kube.errors import ApiError
from flowdeck.stores import Stores

DatabaseOption = Annotated[
    str, typer.Option(envvar="FLOWDECK_DATABASE", help="postgresql://... for the components' state, instead of SQLite.")
]
ArtifactsOption = Annotated[
    str, typer.Option(envvar="FLOWDECK_ARTIFACTS", help="s3://..., gs://... or az://... instead of files.")
]


def opened(stores: Stores) -> Stores:
    """The same, once what it names is known to be a database and a store. Raises `Refusal`."""
    try:
        stores.open()
    except (ValueError, ApiError) as error:
        raise Refusal(str(error)) from error
    return stores
