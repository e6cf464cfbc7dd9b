"""Gets the image of one container: what is here, or what a pull brings, as its `imagePullPolicy` says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from flowdeck.embedded.node.contract import Additions, Image, ImageError
from flowdeck.embedded.node.pods.acting import Tell
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.seen import Waiting
from flowdeck.embedded.node.pods.spec import pull_policy_of
from flowdeck.kube.objects import Tree

PULL_RETRY_S = (10.0, 300.0)
"""First and longest wait before a failed pull is tried again."""


@dataclass
class Pull:
    """One container's; remembers how often it has failed."""

    container: Tree
    additions: Additions
    """What its program will install."""
    means: Means
    tell: Tell
    on_progress: Callable[[str], None]
    _failures: int = 0

    async def image(self) -> Image | Waiting:
        """The image; why, and until when, the container waits where it cannot be had."""
        reference = self.container.get("image") or ""
        policy = pull_policy_of(self.container)
        try:
            ready = self.means.images.find(reference, self.additions)
            if ready is not None and policy != "Always":
                self.tell("Normal", "Pulled", f'Container image "{reference}" already present on machine')
                return ready
            if policy == "Never":
                text = f'Container image "{reference}" is not present with pull policy of Never'
                self.tell("Warning", "ErrImageNeverPull", text)
                raise ImageError("ErrImageNeverPull", text)
            return await self._pull(reference)
        except ImageError as error:
            return self._failed(reference, error)

    async def _pull(self, reference: str) -> Image:
        self.tell("Normal", "Pulling", f'Pulling image "{reference}"')
        began = self.means.clock.monotonic()
        image = await self.means.images.pull(reference, self.additions, on_progress=self._told)
        took = f"{self.means.clock.monotonic() - began:.3f}s"
        self.tell("Normal", "Pulled", f'Successfully pulled image "{reference}" in {took} ({took} including waiting)')
        self._failures = 0
        return image

    def _told(self, message: str, *, is_notice: bool = False) -> None:
        self.on_progress(f"Pulling the image: {message}")
        if is_notice:
            self.tell("Warning", "Pulling", message)

    def _failed(self, reference: str, error: ImageError) -> Waiting:
        pause = min(PULL_RETRY_S[1], PULL_RETRY_S[0] * 2.0**self._failures)
        self._failures += 1
        reason, message = error.reason, str(error)
        if reason == "ErrImagePull":
            self.tell("Warning", "Failed", f'Failed to pull image "{reference}": {message}')
            if self._failures > 1:
                self.tell("Normal", "BackOff", f'Back-off pulling image "{reference}"')
                reason, message = "ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {message}'
        self.tell("Warning", "Failed", f"Error: {reason}")
        return Waiting(reason=reason, message=message, until=self.means.clock.now() + timedelta(seconds=pause))
