"""What is wrong with something that a user sent: answered 400, and told so that it can be mended."""

from flowdeck.kube.errors import BadRequest


class InvalidPipeline(BadRequest):
    """The file, or the document in it, is no pipeline that can run; the text names task, parameter and remedy."""


class InvalidParameters(BadRequest):
    """The parameters of a run do not fit its pipeline."""


class InvalidTrigger(BadRequest):
    """Nobody can say when a recurring run is due."""
