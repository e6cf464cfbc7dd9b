"""Two processes see each other's devices, and sum over them."""

import os

import jax
from jax.experimental import multihost_utils

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(
    coordinator_address=os.environ["JAX_COORDINATOR_ADDRESS"],
    num_processes=int(os.environ["JAX_NUM_PROCESSES"]),
    process_id=int(os.environ["JAX_PROCESS_ID"]),
)
gathered = multihost_utils.process_allgather(jax.numpy.array([jax.process_index() + 1.0]))
print(f"sum {gathered.sum():g} on {jax.process_count()} processes, {len(jax.devices())} devices", flush=True)
