"""`python -m tests.kubernetes.rig [build | serve | serve-api]`.

Builds the programs; runs a control plane until Ctrl-C, with or without controllers.
"""

import signal
import sys
from typing import Never

from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import control_plane

COMMANDS = ("build", "serve", "serve-api")


def main(command: str) -> int:
    try:
        programs = binaries.ready(lambda line: print(line, flush=True))
    except binaries.CannotBuild as error:
        print(f"kubernetes: {error}", file=sys.stderr)
        return 2
    if command == "build":
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    with control_plane(programs, controllers=command == "serve") as cluster:
        print(f"export KUBECONFIG={cluster.kubeconfig}")
        print(f"kubectl: {cluster.kubectl}")
        print(f"logs: {cluster.folder / 'logs'}")
        print("Ctrl-C ends it", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("ending")
    return 0


def _interrupt(number: int, frame: object) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "serve"
    if chosen not in COMMANDS:
        sys.exit(f"what to do: one of {', '.join(COMMANDS)}")
    sys.exit(main(chosen))
