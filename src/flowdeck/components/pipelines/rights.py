"""What pipelines do at the API, as the platform's ServiceAccount must be allowed to on a cluster."""

from flowdeck.components.base import Right
from flowdeck.components.pipelines.kinds import PIPELINE, PIPELINE_VERSION
from flowdeck.components.pipelines.settings import NAMESPACE
from flowdeck.kube.kinds import (
    CONFIG_MAP,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)

_CACHED = ("list", "watch")
_EDITED = ("list", "create", "patch", "delete")

RIGHTS = (
    Right(PIPELINE, ("get", *_EDITED)),
    Right(PIPELINE, ("update",), subresource="finalizers"),  # its versions block its deletion
    Right(PIPELINE_VERSION, _EDITED),
    Right(POD, (*_CACHED, "create", "delete")),
    Right(POD, ("get",), subresource="log"),
    Right(CONFIG_MAP, ("get", *_CACHED, "create", "patch")),
    Right(SECRET, ("get",), namespace=NAMESPACE),  # those that `kfp-launcher` names, to reach object stores
    Right(PERSISTENT_VOLUME_CLAIM, ("get", "create", "delete")),
    Right(TOKEN_REVIEW, ("create",)),
    Right(SUBJECT_ACCESS_REVIEW, ("create",)),
    Right(EVENT, ("create", "patch")),
)
