"""XGBoost: what its collective tracker (Rabit, `DMLC_*`) is told.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/xgboost)
"""

from collections.abc import Sequence

from flowdeck.components.training.draft import Draft
from flowdeck.components.training.frameworks._base import (
    from_index,
    gpus_in,
    policy_of,
    stated_resources,
    value,
)
from flowdeck.components.training.types import PORT
from flowdeck.components.training.upserts import open_port, upsert_env
from flowdeck.kube.errors import FieldError, forbidden

RESERVED = frozenset({"DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"})


class XGBoost:
    """`mlPolicy.xgboost`."""

    def applies(self, draft: Draft) -> bool:
        return policy_of(draft).xgboost is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        return [
            forbidden(f"spec.trainer.env[{index}]", f"{item['name']} is reserved for the XGBoost runtime")
            for index, item in enumerate(draft.trainer.env or ())
            if item["name"] in RESERVED
        ]

    def shape(self, draft: Draft) -> None:
        if (node := draft.node_container) is None:
            return
        workers = draft.num_nodes * (gpus_in(stated_resources(draft)) or 1)
        upsert_env(
            node,
            [
                value("DMLC_TRACKER_URI", draft.first_node),
                value("DMLC_TRACKER_PORT", str(PORT)),
                from_index("DMLC_TASK_ID"),
                value("DMLC_NUM_WORKER", str(workers)),
            ],
        )
        open_port(node, PORT)
