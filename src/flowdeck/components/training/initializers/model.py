"""Fetches the model to `/workspace/model`, or the folder that the argument names."""

from functools import partial

from flowdeck.components.training.initializers import huggingface, local, s3
from flowdeck.components.training.initializers.settings import Source, destination, source_from_environment
from flowdeck.components.training.initializers.sources import Providers, run

ALLOW = ("*.json", "*.safetensors", "*.model", "*.txt", "*.gguf")
"""Of a Hugging Face repository: what models are made of. Other sources are taken as they are."""
IGNORE = ("*.msgpack", "*.h5", "*.bin", "*.pt", "*.pth")

PROVIDERS: Providers = {
    "hf": partial(huggingface.fetch, kind="model"),
    "s3": s3.fetch,
    "file": local.fetch,
    "pvc": local.fetch,
}


def source() -> Source:
    found = source_from_environment(destination("model"))
    if found.scheme != "hf":
        return found
    return source_from_environment(destination("model"), allow=ALLOW, ignore=IGNORE)


def main() -> None:
    run(source, PROVIDERS)


if __name__ == "__main__":
    main()
