"""Where artifacts are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ArtifactSettings:
    """Credentials are taken from the environment, where the tools of each provider look for them, so that no command
    line shows them: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, ...
    """

    url: str = ""
    """`s3://bucket/prefix`, `gs://...`, `az://...`; empty: files in the data folder, as `minio://mlpipeline`."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The provider's own settings (`endpoint`, `access_key_id`, ...), instead of the environment's."""
