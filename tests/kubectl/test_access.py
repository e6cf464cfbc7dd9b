"""auth, tokens, roles, acting as others."""

import yaml

from tests.kubectl.kubectl import Kubectl, rows


def test_who_am_i_and_what_may_i(kubectl: Kubectl) -> None:
    shown = kubectl("auth whoami")
    assert rows(shown)[0] == ["ATTRIBUTE", "VALUE"]
    assert "[system:masters system:authenticated]" in shown
    assert kubectl("auth can-i * *") == "yes\n"
    assert kubectl.run("auth can-i create pods --as=jane").stdout == "no\n"
    listed = kubectl("auth can-i --list --as=jane")
    assert listed.split("\n")[0].split() == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed


def test_roles_give_rights_in_a_namespace(kubectl: Kubectl) -> None:
    kubectl("create serviceaccount bot")
    kubectl("create role reader --verb=get,list,watch --resource=pods,pods/log")
    kubectl(f"create rolebinding bot --role=reader --serviceaccount={kubectl.namespace}:bot")
    bot = f"--as=system:serviceaccount:{kubectl.namespace}:bot"
    assert kubectl(f"auth can-i list pods {bot}") == "yes\n"
    assert kubectl(f"auth can-i get pods --subresource=log {bot}") == "yes\n"
    assert kubectl.run(f"auth can-i delete pods {bot}").stdout == "no\n"
    assert "pods/log" in kubectl(f"auth can-i --list {bot}")
    assert "  pods/log   []                 []              [get list watch]\n" in kubectl("describe role reader")
    assert rows(kubectl("get rolebinding bot -o wide"))[1][1] == "Role/reader"
    assert kubectl.fails(f"delete pod x {bot}") == (
        f'Error from server (Forbidden): pods "x" is forbidden: User "{bot[5:]}" cannot delete resource "pods" in '
        f'API group "" in the namespace "{kubectl.namespace}"\n'
    )
    assert kubectl.fails(f"get pods -n default {bot}").startswith("Error from server (Forbidden): pods is forbidden: ")


def test_a_token_is_an_account(kubectl: Kubectl) -> None:
    kubectl("create serviceaccount bot")
    token = kubectl("create token bot --duration=10m").strip()
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    own = kubectl.kubeconfig.parent / "bot.kubeconfig"
    own.write_text(yaml.safe_dump(config))
    as_bot = Kubectl(own, kubectl.namespace)
    assert f"system:serviceaccount:{kubectl.namespace}:bot" in as_bot("auth whoami")
    assert as_bot.fails("get secrets").startswith("Error from server (Forbidden): secrets is forbidden: ")
    kubectl("delete serviceaccount bot")
    assert as_bot.fails("get pods") == "error: You must be logged in to the server (Unauthorized)\n"


def test_nobody_gives_what_he_does_not_have(kubectl: Kubectl) -> None:
    kubectl("create rolebinding jane --clusterrole=admin --user=jane")
    told = kubectl.fails("create rolebinding more --clusterrole=cluster-admin --user=jane --as=jane")
    assert "is attempting to grant RBAC permissions not currently held" in told


def test_auth_reconcile_brings_roles_up_to_date(kubectl: Kubectl) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": kubectl.namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    assert "role.rbac.authorization.k8s.io/r reconciled" in kubectl("auth reconcile -f -", stdin=yaml.safe_dump(role))
