"""What stands behind an `executorLabel`: a pod, an importer, or one of the two executors for volume claims."""

from typing import Final

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.ir.platform import KubernetesConfig
from flowdeck.components.pipelines.ir.proto_json import decode
from flowdeck.components.pipelines.plan.definitions import artifact_type
from flowdeck.components.pipelines.plan.types import Body, Container, CreatePvc, DeletePvc, Importer
from flowdeck.components.pipelines.values.placeholders import WORKSPACE_PATH, mentioned_parameters
from flowdeck.components.pipelines.values.texts import canonical
from flowdeck.kube.objects import Tree

CREATE_PVC: Final = "argostub/createpvc"
DELETE_PVC: Final = "argostub/deletepvc"
_WORKSPACE: Final = ("{{$.workspace_path}}", WORKSPACE_PATH)


class Executors:
    """The executors of a document."""

    def __init__(self, document: Document) -> None:
        self._specs = document.spec.deployment_spec.executors
        self._kubernetes: dict[str, Tree] = {}
        for component in document.spec.components.values():
            for platform in component.single_platform_specs:
                if platform.platform == "kubernetes":
                    self._kubernetes.update(platform.deployment_spec.executors)
        self._kubernetes.update(document.kubernetes.deployment_spec.executors)

    def body(self, name: str, spec: ir.ComponentSpec) -> Body:
        """The executor of a component; raises `InvalidPipeline`."""
        label = spec.executor_label or ""
        executor = self._specs.get(label)
        if executor is None:
            raise InvalidPipeline(
                f"component {name!r} refers to the executor {label!r}, which is not in `deploymentSpec.executors`"
            )
        if executor.container is not None:
            return self._container(label, spec, executor.container)
        if executor.importer is not None:
            return _importer(label, executor.importer)
        kind = "resolver" if executor.resolver is not None else "customJob"
        raise InvalidPipeline(f"executor {label!r} is a {kind}, which is not supported; use a container or an importer")

    def _container(self, label: str, spec: ir.ComponentSpec, container: ir.ContainerSpec) -> Body:
        image = container.image.rsplit(":", 1)[0]
        if image.endswith(CREATE_PVC):
            return CreatePvc()
        if image.endswith(DELETE_PVC):
            return DeletePvc()
        if not container.image:
            raise InvalidPipeline(f"executor {label!r} has a container without an image")
        texts = [*container.command, *container.args, *(variable.value for variable in container.env)]
        path = f"platforms.kubernetes.deploymentSpec.executors.{label}"
        return Container(
            image=container.image,
            command=tuple(container.command),
            args=tuple(container.args),
            env=tuple((variable.name, variable.value) for variable in container.env),
            resources=container.resources,
            kubernetes=decode(KubernetesConfig, self._kubernetes.get(label, {}), path),
            passthroughs=tuple(spec.task_config_passthroughs),
            mentioned=frozenset(name for text in texts for name in mentioned_parameters(text)),
            uses_workspace=any(mark in text for text in texts for mark in _WORKSPACE),
        )


def _importer(label: str, importer: ir.ImporterSpec) -> Importer:
    uri = importer.artifact_uri
    old = uri.constant_value.string_value if uri.constant_value is not None else None
    constant = uri.constant if isinstance(uri.constant, str) else old
    if not constant and not uri.runtime_parameter:
        raise InvalidPipeline(f"importer {label!r} has no artifactUri; give a constant or a runtimeParameter")
    return Importer(
        uri=constant or "",
        uri_parameter=uri.runtime_parameter or "",
        type=artifact_type(importer.type_schema),
        metadata=canonical(importer.metadata),
        reimport=importer.reimport,
        download_to_workspace=importer.download_to_workspace,
    )
