"""The programs of the initializer images: fetch a dataset or a model onto the shared volume before training starts.

    python -m flowdeck.components.training.initializers.dataset
    python -m flowdeck.components.training.initializers.model

They run in pods and import nothing else of the platform, so that they start at once. The environment says all:
`STORAGE_URI` names the source, its scheme the provider. `sources.py` is the table of providers; each is one file.
"""
