"""Admission of what opens a connection: `exec`, `attach`, `portforward`, `proxy`. Webhooks and policies may refuse it.

The object of the request is what the query asks for, as `PodExecOptions` and its like.
Source: kubernetes (pkg/apis/core/types.go), k8s.io/apiserver (pkg/endpoints/handlers/rest.go: ConnectResource).
"""

from collections.abc import Mapping
from dataclasses import replace

from flowdeck.embedded.apiserver.admission.plugin import Plugins
from flowdeck.embedded.apiserver.contract import AdmissionRequest, RequestInfo
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.kube.objects import Kind, Tree

_KINDS: Mapping[tuple[str, str], str] = {
    ("pods", "exec"): "PodExecOptions",
    ("pods", "attach"): "PodAttachOptions",
    ("pods", "portforward"): "PodPortForwardOptions",
    ("pods", "proxy"): "PodProxyOptions",
    ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}
_FLAGS = ("stdin", "stdout", "stderr", "tty")


async def admit_connect(plugins: Plugins, info: RequestInfo) -> None:
    """Asks the plug-ins about a request that opens a connection; any other request is let pass.

    Raises the `ApiError` of the plug-in that refuses.
    """
    resource, key = info.resource, info.key
    if resource is None or key is None or resource.kind.group:
        return
    name = _KINDS.get((resource.kind.plural, info.subresource))
    if name is None:
        return
    kind = Kind("", "v1", name, resource.kind.plural, resource.kind.namespaced)
    request = AdmissionRequest(
        user=info.user,
        operation="CONNECT",
        resource=replace(resource, kind=kind),
        subresource=info.subresource,
        key=key,
        obj={"kind": name, "apiVersion": "v1", **_options(info)},
        old=None,
    )
    await plugins.mutate(request)
    await plugins.validate(request)


def _options(info: RequestInfo) -> Tree:
    match info.subresource:
        case "proxy":
            return {"path": f"/{info.subpath}"}
        case "portforward":
            return {"ports": [int(port) for port in info.queries.get("ports", ()) if port.isdigit()]}
    options: Tree = {name: is_true(info.query.get(name, "")) for name in _FLAGS}
    if info.query.get("container"):
        options["container"] = info.query["container"]
    if info.subresource == "exec":
        options["command"] = list(info.queries.get("command", ()))
    return options
