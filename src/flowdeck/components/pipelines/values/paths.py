"""Where artifacts are: URIs, and the paths that user code makes of them.

Source: kfp SDK 2.17 (kfp/dsl/types/artifact_types.py).
"""

from typing import Final

_PREFIXES: Final = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
_OCI: Final = "oci://"


def local_path(uri: str) -> str:
    """The path that `artifact.path` gives user code; any other URI is its own path.

    >>> local_path("minio://mlpipeline/v2/x"), local_path("oci://ghcr.io/org/model:1")
    ('/minio/mlpipeline/v2/x', '/oci/ghcr.io_org_model:1/models')
    """
    if uri.startswith(_OCI):
        return f"/oci/{uri.removeprefix(_OCI).replace('/', '_')}/models"
    for prefix, folder in _PREFIXES.items():
        if uri.startswith(prefix):
            return folder + uri.removeprefix(prefix)
    return uri


def uri_of(path: str) -> str:
    """The other way.

    >>> uri_of("/minio/mlpipeline/v2/x")
    'minio://mlpipeline/v2/x'
    """
    for prefix, folder in _PREFIXES.items():
        if path.startswith(folder):
            return prefix + path.removeprefix(folder)
    return path


def task_root(pipeline_root: str, pipeline: str, run: str, task: str, unique: str) -> str:
    """Where a task's outputs go; a query on the root configures the bucket, and is no part of it."""
    return f"{run_root(pipeline_root, pipeline, run)}/{task}/{unique}"


def run_root(pipeline_root: str, pipeline: str, run: str) -> str:
    """Where all outputs of a run go."""
    base = pipeline_root.partition("?")[0].rstrip("/")
    return f"{base}/{pipeline}/{run}"
