"""Which Flowdeck this is."""

from importlib import metadata

VERSION = metadata.version("flowdeck")
