"""Requests for certificates say who asks, and by which names he is reached."""

from cryptography import x509

from flowdeck.certificates import Leaf, make_key_pem, make_request


def test_a_request_says_subject_and_names() -> None:
    leaf = Leaf("", "system:node:n", ("system:nodes",), usage="server", names=("n", "10.0.0.1"))
    request = x509.load_pem_x509_csr(make_request(leaf, make_key_pem()).encode())
    assert request.subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["n", "10.0.0.1"]
    assert request.is_signature_valid
