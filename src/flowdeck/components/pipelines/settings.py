"""What can be set about pipelines, and the names by which clients know the server."""

from dataclasses import dataclass, field
from typing import Final

from flowdeck.version import VERSION

NAMESPACE: Final = "kubeflow"
"""Where a single user's pipelines and runs are, and the server's Service."""
SERVICE: Final = "ml-pipeline"
SERVICE_PORT: Final = 8888
DEFAULT_SERVICE_ACCOUNT: Final = "pipeline-runner"
"""Of a run's pods, when nobody says."""
USER_SERVICE_ACCOUNT: Final = "default-editor"
"""The same in namespaces of users: Kubeflow's profiles have it."""
AUDIENCE: Final = "pipelines.kubeflow.org"
"""What bearer tokens must be made for."""
RIGHTS_VERSION: Final = "v1beta1"
"""Of the resources that roles name: `runs.pipelines.kubeflow.org`."""


URL_ORIGINS: Final = (
    "https://storage.googleapis.com",
    "https://s3.amazonaws.com",
    "https://github.com",
    "https://raw.githubusercontent.com",
)
"""Where pipelines may be fetched from, as upstream."""


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """What goes by itself. Ages are counted from the end of the run, in seconds; 0: it stays."""

    archive_runs_s: int = 0
    """Age at which runs are archived (upstream: `RUNS_RETENTION_TIME`)."""
    remove_archived_runs_s: int = 0
    """Age at which archived runs are removed (upstream: `ARCHIVED_RUNS_RETENTION_TIME`)."""
    remove_logs_s: int = 0
    """Age at which logs that were kept are removed."""
    remove_artifacts_s: int = 0
    """Age at which artifacts that tasks made are removed, with their content."""
    with_runs: bool = False
    """Whether a removed run takes along what its tasks made, but for what other runs took from the cache."""
    every_s: int = 6 * 3600
    """How often it is looked what is old (upstream: `RUNS_GC_INTERVAL`)."""

    @property
    def is_wanted(self) -> bool:
        return self.with_runs or any(
            (self.archive_runs_s, self.remove_archived_runs_s, self.remove_logs_s, self.remove_artifacts_s)
        )


@dataclass(frozen=True, kw_only=True)
class PipelinesSettings:
    """The `pipelines` branch of the settings tree."""

    host: str = "127.0.0.1"
    """Address that the server listens on; the Service `ml-pipeline` leads there. On a cluster: the pod's own."""
    port: int = 0
    """TCP port that it listens on; 0: any free one. The Service's port is 8888 in any case."""
    multi_user: bool = False
    """Whether experiments and runs belong to namespaces of their users (Kubeflow's profiles)."""
    user_header: str = "kubeflow-userid"
    """With `multi_user`: the header in which a front door names the user that it has signed in. It is believed from
    senders who may impersonate that user, and from others as `trusts_user_header` says."""
    user_prefix: str = ""
    """What that header's value begins with, and the user's name does not: `accounts.google.com:`."""
    url_origins: frozenset[str] = frozenset()
    """Where pipelines may be fetched from as well (`package_url`), at private addresses, too: `https://git.example`."""
    trusts_user_header: bool = False
    """Believe the header from whoever reaches the port: only where nobody but the front door can (a mesh, a
    NetworkPolicy)."""
    image: str = f"ghcr.io/flowdeck/flowdeck:{VERSION}"
    """Flowdeck's own image: containers of it carry artifacts between pods and object stores."""
    succeeded_pods_s: int = 0
    """For how long pods stay whose program ended well, in seconds; their logs are kept in any case."""
    failed_pods_s: int = 86400
    """For how long pods stay that failed, in seconds."""
    caching: bool = True
    """Whether tasks that want it may take the outputs of earlier ones."""
    cache_ttl_s: int = 0
    """For how long after a task ended others may take its outputs, in seconds; 0: for ever."""
    cache_across_pipelines: bool = False
    """Whether they may be those of another pipeline's task."""
    webhooks: tuple[str, ...] = field(default=(), repr=False)
    """URLs that are told of each run that has ended, by POST."""
    webhook_secret: str = field(default="", repr=False)
    """With which those messages are signed (HMAC-SHA256); empty: they are not."""
    run_timeout_s: int = 0
    """Time that a run has that says nothing itself, in seconds; 0: as its pipeline says, or as long as it takes."""
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    """What goes by itself, and when."""
    time_zone: str = ""
    """Where the cron of recurring runs is read: `Europe/Berlin`; empty: the machine's."""
