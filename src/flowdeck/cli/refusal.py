"""How a command says that it cannot do what it was asked. Quick to import."""


class Refusal(Exception):
    """A command cannot do what it was asked; the text says why and what to do."""
