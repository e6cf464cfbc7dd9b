"""Each rank says who it is, and all sum."""

import os

from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
print(f"hello from {world.rank} of {world.size} in {os.environ['FLOWDECK_RSH_SELF']}: {total}", flush=True)
