"""How everybody reads and writes API objects, wherever the platform runs.

`base` holds the promise; `http` speaks to any conformant API server, `direct` to the embedded one in the same process.
One suite (`tests/suites/test_client.py`) runs over both. Nothing above this package may know which one it has.
"""
