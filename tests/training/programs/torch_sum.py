"""Sums a number of the job's own over its nodes, without torchrun; stays until all jobs have met."""

import os

import torch
import torch.distributed as dist

rank, size = int(os.environ["PET_NODE_RANK"]), int(os.environ["PET_NNODES"])
place = f"{os.environ['PET_MASTER_ADDR']}:{os.environ['PET_MASTER_PORT']}"
dist.init_process_group("gloo", init_method=f"tcp://{place}", rank=rank, world_size=size)
total = torch.tensor([float(os.environ["MINE"])])
dist.all_reduce(total)
print(f"sum {total.item():g}", flush=True)
dist.destroy_process_group()
