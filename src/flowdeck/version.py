"""Which Flowdeck this is."""

VERSION = "0.1.0"
