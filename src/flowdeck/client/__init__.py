"""How everybody reads and writes API objects, wherever the platform runs.

`base` holds the promise; `http` speaks to any conformant API server. The embedded server brings its own client for the
same process (`embedded/apiserver/direct_client.py`).
One suite (`tests/suites/test_client.py`) runs over both. Nothing above this package may know which one it has.
"""
