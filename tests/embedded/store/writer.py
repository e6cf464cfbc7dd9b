"""A process that writes to a store until it is killed: `python -m tests.embedded.store.writer FILE DESCRIPTOR`.

Closes the descriptor when the store is open. Tells on standard output what it is about to write, `try NAME NUMBER`, and
when that was answered, `done NAME NUMBER`. The number is the object's content; 0 deletes it. An object has one write at
a time.
"""

import asyncio
import os
import sys
from pathlib import Path
from random import Random

from flowdeck.embedded.store.store import Store, StoreKey

NAMES = 12


async def _write(store: Store, name: str, chance: Random) -> None:
    key = StoreKey("configmaps", "default", name)
    while True:
        head = store.head(key)
        number = 0 if head is not None and chance.random() < 0.2 else chance.randint(1, 1 << 60)
        print(f"try {name} {number}", flush=True)
        if head is not None and not number:
            await store.delete(key, expected=head)
        else:
            text = "x" * int(chance.paretovariate(0.7) * 50 % 60_000)
            await store.put(key, {"metadata": {"name": name}, "data": {"n": str(number), "text": text}}, expected=head)
        print(f"done {name} {number}", flush=True)


async def main(path: Path, opening: int) -> None:
    store = Store(path)
    os.close(opening)
    await asyncio.gather(*(_write(store, f"w{number}", Random()) for number in range(NAMES)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
