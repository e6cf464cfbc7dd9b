"""What stands beside the clients; their promise is held by tests/suites/test_client.py."""
