"""What a pod finds in `/etc/resolv.conf`, from its `dnsPolicy` and `dnsConfig`. Pure."""

from flowdeck.kube.objects import Tree, get_in, key_of


def resolv_conf(pod: Tree, *, name_server: str, domain: str, machine: str) -> str:
    """The file's content; `name_server` is ours (empty: there is none), `machine` the machine's own file.

    Source: kubernetes/kubernetes (pkg/kubelet/network/dns).
    """
    policy = get_in(pod, "spec", "dnsPolicy", default="ClusterFirst")
    on_host = bool(get_in(pod, "spec", "hostNetwork"))
    if policy == "None":
        servers, searches, options = _read("")
    elif policy == "Default" or (policy == "ClusterFirst" and on_host) or not name_server:
        servers, searches, options = _read(machine)
    else:
        namespace = key_of(pod).namespace
        servers, options = [name_server], ["ndots:5"]
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *_read(machine)[1]]
    config = get_in(pod, "spec", "dnsConfig", default={})
    servers = _merged(servers, config.get("nameservers"))
    searches = _merged(searches, config.get("searches"))
    options = _merged_options(options, config.get("options") or [])
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {server}" for server in servers[:3]]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def _read(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for words in (line.split() for line in text.splitlines()):
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search", *names]:
                searches = [name for name in names if name != "."]
            case ["options", *more]:
                options += more
    return servers, searches, options


def _merged(base: list[str], more: list[str] | None) -> list[str]:
    return list(dict.fromkeys([*base, *(more or [])]))


def _merged_options(base: list[str], more: list[Tree]) -> list[str]:
    named = {option.partition(":")[0]: option for option in base}
    for option in more:
        value = option.get("value")
        named[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    return list(named.values())
