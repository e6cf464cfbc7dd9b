"""JAX: what `jax.distributed.initialize()` is told.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/jax)
"""

from collections.abc import Sequence

from flowdeck.components.training.draft import Draft
from flowdeck.components.training.frameworks._base import from_index, policy_of, value
from flowdeck.components.training.types import PORT
from flowdeck.components.training.upserts import open_port, upsert_env
from flowdeck.kube.errors import FieldError


class JAX:
    """`mlPolicy.jax`."""

    def applies(self, draft: Draft) -> bool:
        return policy_of(draft).jax is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        return ()

    def shape(self, draft: Draft) -> None:
        if (node := draft.node_container) is None:
            return
        upsert_env(
            node,
            [
                value("JAX_NUM_PROCESSES", str(draft.num_nodes)),
                from_index("JAX_PROCESS_ID"),
                value("JAX_COORDINATOR_ADDRESS", f"{draft.first_node}:{PORT}"),
            ],
        )
        open_port(node, PORT)
