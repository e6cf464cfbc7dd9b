"""Services, slices and pods that say only what a test is about."""

from flowdeck.kube.objects import Tree


def a_service(name: str, ip: str = "None", *, namespace: str = "default", **spec: object) -> Tree:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports, **spec}}


def a_slice(service: str, *members: str, port: int = 8080, namespace: str = "default", **more: object) -> Tree:
    """Members are `address` or `hostname@address`."""
    endpoints = []
    for member in members:
        host, _, address = member.rpartition("@")
        endpoints.append(
            {"addresses": [address], "conditions": {"ready": True}, **({"hostname": host} if host else {})}
        )
    return {
        "metadata": {
            "name": f"{service}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": port}], **more,
    }  # fmt: skip


def a_pod(name: str, *, namespace: str = "default", **spec: object) -> Tree:
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"}, "spec": spec}
