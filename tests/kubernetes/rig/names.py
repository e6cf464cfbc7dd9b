"""`python -m tests.kubernetes.rig.names KUBECONFIG ADDRESS`: answers the names of a cluster's Services, at port 53.

Containers ask it as they would ask CoreDNS, which is no part of Kubernetes.
"""

import asyncio
import socket
import sys
from pathlib import Path

from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.controller.informer import Informers
from flowdeck.embedded.node.network.feed import feed
from flowdeck.embedded.node.network.resolver import Resolver
from flowdeck.embedded.node.network.services import Services


async def main(kubeconfig: Path, address: str) -> None:
    clock = SystemClock()
    services = Services()
    resolver = Resolver(services, "cluster.local", ())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind((address, 53))
        datagrams.setblocking(False)
        async with HttpClient(load_kubeconfig(kubeconfig), clock) as client, asyncio.TaskGroup() as tasks:
            informers = Informers(client, clock)
            feed(services, informers, resolver.changed)
            for informer in informers:
                tasks.create_task(informer.run())
            tasks.create_task(resolver.serve_datagrams(datagrams))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
