"""An HTTP/1.1 server for ASGI applications: connections, exchanges, limits on who is many or slow."""
