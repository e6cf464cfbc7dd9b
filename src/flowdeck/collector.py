"""The interpreter's search for cycles, in processes that live long and hold many objects.

Almost everything that is held is trees without cycles, so each search through them is in vain, and takes the longer the
more there are (a tenth of a second for some thousand pods, in which nobody is answered).
"""

import gc

_YOUNG = 20_000
"""How many more objects must have been made than dropped before the youngest are searched."""


def pause() -> None:
    """While modules are loaded: nothing of them goes."""
    gc.disable()


def settle() -> None:
    """What is there by now stays for good; what is made from now on is searched, seldom."""
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    gc.enable()
