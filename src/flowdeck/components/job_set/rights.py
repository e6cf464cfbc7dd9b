"""What the JobSet controller does at the API, as its ServiceAccount must be allowed to on a cluster."""

from flowdeck.components.base import Right
from flowdeck.kube.kinds import EVENT, JOB, JOB_SET, PERSISTENT_VOLUME_CLAIM, SERVICE

RIGHTS = (
    Right(JOB_SET, ("list", "watch", "delete")),
    Right(JOB_SET, ("patch",), subresource="status"),
    Right(JOB_SET, ("update",), subresource="finalizers"),  # its Jobs block its deletion
    Right(JOB, ("list", "watch", "create", "patch", "delete")),
    Right(JOB, ("patch",), subresource="status"),
    Right(SERVICE, ("list", "watch", "create")),
    Right(PERSISTENT_VOLUME_CLAIM, ("get", "create")),
    Right(EVENT, ("create", "patch")),
)
