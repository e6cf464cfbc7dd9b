"""Certificate signing requests say truly who made them, are approved only by those who may, and make no masters.

Source: k8s.io/kubernetes (pkg/registry/certificates/certificates/strategy.go, plugin/pkg/admission/certificates/
{approval,subjectrestriction}).
"""

import base64
import binascii
from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Attributes, Authorizer, User
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST
from flowdeck.kube.objects import Tree, get_in

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


@dataclass(frozen=True)
class CertificateRequests(Plugin):
    authorizer: Authorizer
    concerns: ClassVar = (CERTIFICATE_SIGNING_REQUEST.resource,)
    name: str = "CertificateRequests"

    async def mutate(self, request: AdmissionRequest) -> None:
        if (
            request.resource.kind == CERTIFICATE_SIGNING_REQUEST
            and request.operation == "CREATE"
            and request.obj is not None
        ):
            _sign_with(request.user, request.obj.setdefault("spec", {}))

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource.kind != CERTIFICATE_SIGNING_REQUEST or request.obj is None:
            return
        if request.operation == "CREATE":
            _refuse_masters(request, request.obj)
        elif request.subresource == "approval":
            self._may_approve(request, get_in(request.obj, "spec", "signerName", default=""))

    def _may_approve(self, request: AdmissionRequest, signer: str) -> None:
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            asked = Attributes(request.user, "approve", "certificates.k8s.io", "*", "signers", name=name)
            if self.authorizer.authorize(asked).allowed:
                return
        raise _forbidden(request, f'user not permitted to approve requests with signerName "{signer}"')


def _sign_with(user: User, spec: Tree) -> None:
    """What the requestor says of itself does not count."""
    for name in ("uid", "groups", "extra"):
        spec.pop(name, None)
    spec["username"] = user.name
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}


def _refuse_masters(request: AdmissionRequest, obj: Tree) -> None:
    spec = obj.get("spec") or {}
    if spec.get("signerName") != CLIENT_SIGNER:
        return
    try:
        organizations = organizations_of(base64.b64decode(spec.get("request") or ""))
    except (ValueError, binascii.Error):
        return  # the signer will say what is wrong with it
    if _MASTERS in organizations:
        raise _forbidden(request, f"use of {CLIENT_SIGNER} signer with {_MASTERS} group is not allowed")


def organizations_of(request: bytes) -> list[str]:
    """The groups that a request (PEM) asks for; raises `ValueError` when it is none."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.load_pem_x509_csr(request).subject
    return [str(name.value) for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _forbidden(request: AdmissionRequest, why: str) -> Forbidden:
    kind = request.resource.kind
    return Forbidden(
        f'{kind.resource} "{request.key.name}" is forbidden: {why}',
        group=kind.group,
        kind=kind.plural,
        name=request.key.name,
    )
