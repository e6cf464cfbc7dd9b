"""Fetches the dataset to `/workspace/dataset`, or the folder that the argument names."""

from functools import partial

from flowdeck.components.training.initializers import data_cache, huggingface, local, s3
from flowdeck.components.training.initializers.settings import destination, source_from_environment
from flowdeck.components.training.initializers.sources import Providers, run

PROVIDERS: Providers = {
    "hf": partial(huggingface.fetch, kind="dataset"),
    "s3": s3.fetch,
    "cache": data_cache.fetch,
    "file": local.fetch,
    "pvc": local.fetch,
}


def main() -> None:
    run(lambda: source_from_environment(destination("dataset")), PROVIDERS)


if __name__ == "__main__":
    main()
