"""Commands that a shell replaces itself by at the end of its script: what is before them, and they themselves. Pure.

`bash -c "... python train.py"` runs its last command in its own place. So that command can be taken out and started
another way, once the shell has done the rest, without anybody seeing a difference: it would have had the shell's
process, parent and streams anyway. Its variables are what is left to know; another last command tells them, which the
shell starts in the same way. This holds for scripts that we know word by word, and for no others:

    bash -c "python WORDS"     one plain command
    bash -c "<heredoc to a file>; python <that file>"     what the official SDK makes of a Python function
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

TELL = "cat /proc/self/environ"
"""The last command of a prelude: NUL-separated variables on standard output."""

_BASH = ("bash", "/bin/bash", "/usr/bin/bash")
_PLAIN = re.compile(r"\s*(python3?(?: +[\w./=:,@%+-]+)+)\s*")
_FUNCTION = re.compile(
    r"""(?P<before>\s*read -r -d '' SCRIPT << EOM\n(?P<body>.*)\nEOM\n"""
    r"""printf "%s" "\$SCRIPT" > "(?P<file>[\w./-]+)"\n)"""
    r"""(?P<python>python3?) "(?P=file)"\s*""",
    re.DOTALL,
)
_SAYS_WHICH_SHELL = ("`", "$(", "${", "$$", "$BASH", "$SHLVL", "$_")
"""Expansions that could tell one shell from another, or do anything."""


@dataclass(frozen=True)
class Command:
    """A command, and the shell's command line that does all before it and then tells its variables; empty: no shell."""

    argv: Sequence[str]
    prelude: Sequence[str] = ()


def command_of(argv: Sequence[str]) -> Command:
    """The command that counts in a command line; the command line itself unless it is a script that we know."""
    if len(argv) != 3 or argv[0] not in _BASH or argv[1] != "-c":
        return Command(argv)
    script = argv[2]
    if plain := _PLAIN.fullmatch(script):
        return Command(plain[1].split(), [*argv[:2], TELL])
    known = _FUNCTION.fullmatch(script)
    if known and _is_plain(known["body"]):
        return Command([known["python"], known["file"]], [*argv[:2], known["before"] + TELL])
    return Command(argv)


def _is_plain(body: str) -> bool:
    """True for a heredoc's body that ends where it seems to, and in which nothing is run."""
    ends_early = "\nEOM\n" in f"\n{body}\n" or body.endswith("\\")
    return not ends_early and not any(sign in body for sign in _SAYS_WHICH_SHELL)
