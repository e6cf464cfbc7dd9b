"""What training does at the API, as its ServiceAccount must be allowed to on a cluster."""

from flowdeck.components.base import Right
from flowdeck.components.training.gang.coscheduling import POD_GROUP as COSCHEDULING
from flowdeck.components.training.gang.volcano import POD_GROUP as VOLCANO
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB, TRAINING_RUNTIME
from flowdeck.kube.kinds import CONFIG_MAP, EVENT, JOB_SET, POD, PRIORITY_CLASS, SECRET, TOKEN_REVIEW

_CACHED = ("list", "watch")
_APPLIED = ("create", "patch")

RIGHTS = (
    Right(TRAIN_JOB, (*_CACHED, "patch")),  # patch: the annotation of the last error
    Right(TRAIN_JOB, ("patch",), subresource="status"),
    Right(TRAIN_JOB, ("update",), subresource="finalizers"),  # its children block its deletion
    Right(TRAINING_RUNTIME, ("get", *_CACHED, "patch")),  # patch: takes a finalizer of old Trainers off
    Right(CLUSTER_TRAINING_RUNTIME, ("get", *_CACHED, "patch")),
    Right(JOB_SET, ("get", *_CACHED, *_APPLIED, "delete")),
    Right(CONFIG_MAP, ("get", *_CACHED, *_APPLIED)),
    Right(SECRET, ("create",)),  # no Secret of anybody is ever read
    Right(COSCHEDULING, ("get", *_APPLIED)),
    Right(VOLCANO, ("get", *_APPLIED)),
    Right(POD, _CACHED),
    Right(PRIORITY_CLASS, ("get",)),
    Right(TOKEN_REVIEW, ("create",)),
    Right(EVENT, ("create", "patch")),
)
