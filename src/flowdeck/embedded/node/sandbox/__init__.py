"""Drivers that start containers in monitor processes and find them again: `namespaces` and `plain`.

`linux`, `seccomp`, `isolation`, `log`, `holder`, `monitor`, `zygote` run in the small processes and import nothing but
the standard library and each other; `driver`, `plan` and `records` are the node's side.
"""
