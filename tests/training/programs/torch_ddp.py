"""Sums over two nodes, then takes a training step on two halves of a batch, and the same one alone on all of it."""

import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
total = torch.tensor([rank + 1.0])
dist.all_reduce(total)
print(f"all-reduce {total.item():g} on {size} of {os.environ['PET_NNODES']} nodes", flush=True)


def model():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def train(network, inputs, targets):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(network(inputs), targets)
        loss.backward()
        optimizer.step()
    return torch.nn.functional.mse_loss(network(inputs), targets).detach()


torch.manual_seed(2)
inputs, targets = torch.randn(16, 4), torch.randn(16, 1)
shared = train(DistributedDataParallel(model()), inputs[rank::size], targets[rank::size])
dist.all_reduce(shared)
alone = train(model(), inputs, targets)
print(f"loss of two {shared.item() / size:.6f}, of one {alone.item():.6f}", flush=True)
torch.testing.assert_close(shared / size, alone)
dist.destroy_process_group()
