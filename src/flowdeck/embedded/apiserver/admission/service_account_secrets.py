"""A Secret of type `kubernetes.io/service-account-token` is filled with a token that lives as long as the Secret.

Upstream a controller does it a moment later (pkg/controller/serviceaccount/tokens_controller.go); here it is done on
the way into the store, so nobody ever sees such a Secret without its token.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, object_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey, annotations_of, uid_of

TYPE = "kubernetes.io/service-account-token"
NAME = "kubernetes.io/service-account.name"
UID = "kubernetes.io/service-account.uid"


@dataclass(frozen=True)
class ServiceAccountSecrets(Plugin):
    storage: Storage
    tokens: ServiceAccountTokens
    ca_file: Path
    """The certificate of the cluster's authority."""
    concerns: ClassVar = ("secrets",)
    name: str = "ServiceAccountSecrets"

    async def mutate(self, request: AdmissionRequest) -> None:
        if request.operation != "CREATE" or not is_for(request, "secrets"):
            return
        secret = object_of(request)
        if secret.get("type") != TYPE:
            return
        namespace = request.key.namespace
        account = self.storage.get(SERVICE_ACCOUNT, ObjectKey(namespace, annotations_of(secret).get(NAME, "")))
        if account is None:
            return
        secret["metadata"]["annotations"] = {**annotations_of(secret), UID: uid_of(account)}
        data = {
            "ca.crt": self.ca_file.read_bytes(),
            "namespace": namespace.encode(),
            "token": self.tokens.issue_for_secret(account, secret).encode(),
        }
        encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
