"""The HTTP shell of the API server and of the kubelet's API."""

from flowdeck.http1.server import HttpServer

__all__ = ["HttpServer"]
