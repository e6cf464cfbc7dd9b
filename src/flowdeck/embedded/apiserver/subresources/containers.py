"""`pods/log`, `exec`, `attach` and `portforward`: passed on to the API of the pod's node.

Streams are WebSockets. The older SPDY upgrade is not spoken: clients that offer both take WebSockets.

Source: k8s.io/kubernetes (pkg/registry/core/pod/strategy.go, pkg/registry/core/pod/rest).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Storage
from flowdeck.embedded.apiserver.subresources.connections import refuse
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.kube.errors import ApiError, BadRequest, FieldError, forbidden, invalid, invalid_object, not_found
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree

_LOG_OPTIONS = ("follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")
_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
"""Our query parameters, and what the node calls them."""
_TRUE = ("1", "true", "True", "TRUE", "t", "T")


@dataclass(frozen=True)
class Containers:
    """Answers what is asked of the containers of a pod."""

    storage: Storage
    nodes: Nodes

    async def log(self, info: RequestInfo) -> Answer:
        """The log, streamed as the node reads it; empty for a pod that no node has yet."""
        pod = self._pod(info)
        check_log_options(info.query, info.key.name if info.key else "")
        container = container_of(pod, info.query.get("container", ""))
        if not pod["spec"].get("nodeName"):
            return Answer(raw=b"", content_type="text/plain")
        options = {name: info.query[name] for name in _LOG_OPTIONS if info.query.get(name)}
        path = f"/containerLogs/{_place(pod)}/{container}"
        answer = await self.nodes.ask_node(pod["spec"]["nodeName"], f"{path}?{urlencode(options)}" if options else path)
        answer.headers = {}
        return answer

    async def stream(self, info: RequestInfo, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """`exec`, `attach` and `portforward`, over a WebSocket."""
        try:
            url = self._stream_url(info)
        except ApiError as error:
            await receive()
            await refuse(send, error)
            return
        await self.nodes.connections.bridge(url, scope, receive, send)

    async def not_upgraded(self, info: RequestInfo) -> Answer:
        """For requests on `exec` and its like that are no WebSocket: clients try SPDY when a WebSocket was refused,
        and show what that answers, so it is what the node says: what is not there, or that it wants a WebSocket."""
        return await self.nodes.connections.request("GET", self._stream_url(info))

    def _stream_url(self, info: RequestInfo) -> str:
        """Where the node serves the stream. Raises `NotFound`, `BadRequest`."""
        pod = self._pod(info)
        if info.subresource == "portforward":
            ports = [("port", port) for text in info.queries.get("ports", ()) for port in text.split(",")]
            return self._url(pod, f"/portForward/{_place(pod)}", ports)
        container = container_of(pod, info.query.get("container", ""))
        query = [(theirs, "1") for ours, theirs in _STREAMS.items() if info.query.get(ours) in _TRUE]
        if info.subresource == "exec":
            query += [("command", word) for word in info.queries.get("command", ())]
        return self._url(pod, f"/{info.subresource}/{_place(pod)}/{container}", query)

    def _pod(self, info: RequestInfo) -> Tree:
        assert info.key is not None
        pod = self.storage.get(POD, info.key)
        if pod is None:
            raise not_found(POD, info.key.name)
        return pod

    def _url(self, pod: Tree, path: str, query: Sequence[tuple[str, str]]) -> str:
        node = pod["spec"].get("nodeName")
        if not node:
            raise BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")
        return f"{self.nodes.url(node)}{path}" + (f"?{urlencode(query)}" if query else "")


def _place(pod: Tree) -> str:
    key = ObjectKey(pod["metadata"]["namespace"], pod["metadata"]["name"])
    return f"{key.namespace}/{key.name}"


def container_of(pod: Tree, asked: str) -> str:
    """The container that is meant; raises `BadRequest` when there is none of that name, or several to choose from."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    every = [
        container["name"]
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field) or ()
    ]
    if asked:
        if asked not in every:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    containers = list(spec.get("containers") or [])
    if len(containers) == 1:
        return str(containers[0]["name"])
    raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{' '.join(every)}]")


_POD_LOG_OPTIONS = Kind("", "v1", "PodLogOptions", "")


def check_log_options(query: Mapping[str, str], pod: str) -> None:
    """Raises `Invalid` for numbers that are out of range and times given twice, `BadRequest` for what is no number."""
    errors: list[FieldError] = []
    for name, least in (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)):
        text = query.get(name)
        if not text:
            continue
        try:
            number = int(text)
        except ValueError:
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        if number < least:
            bound = "greater than 0" if least else "greater than or equal to 0"
            errors.append(invalid(name, number, f"must be {bound}"))
    if query.get("sinceSeconds") and query.get("sinceTime"):
        errors.append(forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if query.get("stream") not in (None, "", "All", "Stdout", "Stderr"):
        errors.append(invalid("stream", query["stream"], 'supported values: "All", "Stderr", "Stdout"'))
    if errors:
        raise invalid_object(_POD_LOG_OPTIONS, pod, errors)
