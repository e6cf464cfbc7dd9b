"""CustomResourceDefinitions from a component's `types.py`.

    EnvVar = Annotated[Tree, Field(ref="io.k8s.api.core.v1.EnvVar")]      # a built-in type, expanded as upstream does

    class Trainer(Struct, rename="camel", kw_only=True):
        num_nodes: Annotated[int | None, Field(minimum=1)] = None           # integer, format int32
        deadline: Annotated[int | None, Field(format="int64", immutable=True)] = None
        env: Annotated[list[EnvVar] | None, Field(list_type="map", list_keys=("name",), max_items=128)] = None
        mode: Annotated[Mode, Field(default="Fast")] = Mode.FAST             # a StrEnum or Literal: its values
        labels: dict[str, str] | None = None                                # additionalProperties
        anything: Annotated[Tree | None, Field(keeps_unknown=True)] = None
        __crd__: ClassVar[Field] = Field(rules=(Rule("has(self.env)", "env is needed"),))   # of the object itself

    definition(TRAIN_JOB, [Version("v1alpha1", spec=TrainJobSpec, status=TrainJobStatus, columns=(...))])

What stands in `Field` changes the schema only, never how a struct is decoded. A field without a default is required;
`Field(required=...)` overrules. Schema defaults are only those in `Field(default=...)`. `Field(schema={...})` is laid
over the result for whatever has no word here. Items of a list and values of a map take `Field`s of their own:
`list[Annotated[str, Field(max_length=10)]]`.
"""
