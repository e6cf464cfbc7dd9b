"""What the SDK makes of Python functions (kfp 2.17): documents whose components are started by its bootstrap."""

from collections.abc import Mapping, Sequence

from flowdeck.kube.objects import Tree

KFP = "kfp==2.17.3"
_PIP = "python3 -m pip install --quiet --no-warn-script-location"
_HEAD = (
    '\nif ! [ -x "$(command -v pip)" ]; then\n    python3 -m ensurepip || python3 -m ensurepip --user || '
    "apt-get install python3-pip\nfi\n\nPIP_DISABLE_PIP_VERSION_CHECK=1 "
)
_PROGRAM = (
    'program_path=$(mktemp -d)\n\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main                         "
    '--component_module_path                         "$program_path/ephemeral_component.py"'
    '                         "$@"\n'
)
_IMPORTS = "\nimport kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


def command_of(name: str, source: str, packages: Sequence[str] = (), kfp: str = KFP) -> list[str]:
    """The whole command line of `def name(...)`."""
    own = "".join(f" {_PIP} {' '.join(map(repr, packages))}  && " for packages in [packages] if packages)
    kfp_too = f"""{_PIP} '{kfp}' '--no-deps' 'typing-extensions>=3.7.4,<5; python_version<"3.9"' && "$0" "$@"\n"""
    script = _HEAD + own.lstrip() + kfp_too
    arguments = ["--executor_input", "{{$}}", "--function_to_execute", name]
    return ["sh", "-c", script, "sh", "-ec", _PROGRAM, f"{_IMPORTS}{source}\n", *arguments]


def a_function(
    source: str,
    *,
    packages: Sequence[str] = (),
    inputs: Mapping[str, str] = {},
    outputs: Mapping[str, str] = {},
    makes: Mapping[str, str] = {},
    takes: Mapping[str, str] = {},
) -> Tree:
    """A component of a function, for `makers.a_pipeline`."""
    name = source.partition("def ")[2].partition("(")[0]
    return {
        "program": command_of(name, source, packages),
        "inputDefinitions": {
            "parameters": {key: {"parameterType": type} for key, type in inputs.items()},
            "artifacts": {key: {"artifactType": {"schemaTitle": title}} for key, title in takes.items()},
        },
        "outputDefinitions": {
            "parameters": {key: {"parameterType": type} for key, type in outputs.items()},
            "artifacts": {key: {"artifactType": {"schemaTitle": title}} for key, title in makes.items()},
        },
    }
