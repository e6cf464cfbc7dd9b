"""What the parts of the node promise each other.

Who does what:

    images/      reference -> Image (an environment on disk); pulls = building environments
    network/     pod -> PodNetwork (address, hosts, resolver); services
    sandbox/     drivers: `namespaces`, `plain`; start containers in monitor processes, find them again
    pods/        the life of a pod: what to start, stop, probe, report
    server.py    the kubelet's HTTPS API, on top of `Runtime`
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flowdeck.kube.objects import ObjectKey, Tree


@dataclass(frozen=True)
class Additions:
    """Python packages that a container's own program will install: they may be in its environment already.

    A pod says so, and who makes pods is trusted with nothing here: only wheels are taken, whose installation runs no
    code, and only pods that ask for the same get them.
    """

    packages: tuple[str, ...] = ()
    """Requirements, by name and version."""
    bare: tuple[str, ...] = ()
    """The same, without what they depend on."""


NONE_ADDED = Additions()


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image reference means on this machine, ready to run."""

    reference: str
    digest: str
    """For `status.containerStatuses[].imageID`: `flowdeck://sha256:...`."""
    environment: Path | None = None
    """Folder of a Python environment (a virtual environment); its `bin` comes first in PATH."""
    mark: Path | None = None
    """A file of the environment: while somebody has a shared lock on it, nobody deletes the environment."""
    root: Path | None = None
    """Unpacked OCI root file system (namespaces driver only); None: the machine's own root."""
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    preload: Sequence[str] = ()
    """Modules that a warm fork server of the environment imports; none: no warm start."""
    preload_env: Mapping[str, str] = field(default_factory=dict)
    """Variables that these modules want while they are imported."""
    keep_warm: bool = False
    """That server is started at the first use, and does not end when idle."""
    user: str = ""
    """Who a container runs as, unless its spec says: `1000`, `1000:1000`, or a name of the image's `/etc/passwd`."""


class ImageError(Exception):
    """An image cannot be had. `reason` is the container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """`ErrImagePull`, `ImagePullBackOff`, `ErrImageNeverPull`, `InvalidImageName`."""


class Images(Protocol):
    def find(self, reference: str, additions: Additions = NONE_ADDED) -> Image | None:
        """The image, when it is ready on disk already (no I/O beyond a look)."""
        ...

    async def pull(
        self, reference: str, additions: Additions = NONE_ADDED, *, on_progress: "Progress | None" = None
    ) -> Image:
        """Makes the image ready; concurrent pulls of one reference share the work. Raises `ImageError`.

        Additions are left out where they cannot be had: the program installs them, or says why not.
        """
        ...

    def listed(self) -> Sequence[Tree]:
        """For `Node.status.images`: `{names, sizeBytes}`."""
        ...


class Progress(Protocol):
    def __call__(self, message: str, *, is_notice: bool = False) -> None:
        """How far it is; a notice is something that the user should know afterwards, too."""
        ...


@dataclass(frozen=True, kw_only=True)
class PodNetwork:
    """Where a pod lives on the network."""

    ip: str
    namespace_path: Path | None = None
    """A network namespace to enter (`/proc/<pid>/fd/<n>`); None: the host's network. Without root, the user namespace
    that owns it must be entered first."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Extra lines of `/etc/hosts`: name -> address."""
    resolver: str = ""
    """Content of the pod's `/etc/resolv.conf`; empty: the machine's own."""


class Network(Protocol):
    async def set_up(self, pod: Tree) -> PodNetwork:
        """Gives the pod its place; asked twice for one pod (uid), gives the same."""
        ...

    async def tear_down(self, pod_uid: str) -> None: ...

    def rewrite(self, pod: Tree, env: Mapping[str, str], args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """What a container really gets: unchanged with namespaces; addresses and well-known ports replaced by this
        machine's in the plain driver (spec of laptop mode, sections 1 and 2)."""
        ...


class Streams(Protocol):
    """A process that was started for `exec` or `attach`, as seen by the HTTP front."""

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """`(1, bytes)` from stdout, `(2, bytes)` from stderr, until both end."""
        ...

    async def wait(self) -> int:
        """The exit code (128 + signal when it was killed)."""
        ...

    @property
    def failure(self) -> str:
        """Why the command could not be started, known once `wait` gave a code; empty where it was."""
        ...

    async def kill(self) -> None: ...


class Runtime(Protocol):
    """What the HTTP front asks of the pods. Raises `NotFound` / `BadRequest` in upstream's words."""

    async def log_files(self, pod: ObjectKey, container: str, *, previous: bool) -> Sequence[Path]:
        """The container's log files, oldest first, in CRI format (`<RFC3339Nano> stdout|stderr F|P <text>`)."""
        ...

    async def past_log_files(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        """The same of a pod that was deleted, as long as its logs are kept."""
        ...

    async def running(self, pod: ObjectKey) -> Collection[str]:
        """Names of the pod's running containers; none where the pod is not here."""
        ...

    async def exec(self, pod: ObjectKey, container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Streams:
        """Starts `command` inside the running container: its namespaces, env, user, working directory."""
        ...

    async def attach(self, pod: ObjectKey, container: str, *, stdin: bool, tty: bool) -> Streams: ...

    async def dial(self, pod: ObjectKey, port: int) -> tuple[int, str]:
        """A connected TCP socket (its file descriptor) to a port inside the pod, and the address used."""
        ...

    async def usage(self) -> Sequence[Tree]:
        """Per pod and container: `{namespace, name, uid, startTime, containers: [{name, startTime, cpuNanoCores,
        cpuNanoSeconds, memoryBytes, memoryWorkingSetBytes}]}`."""
        ...
