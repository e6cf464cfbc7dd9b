"""A platform for tests, scripts and notebooks: `with flowdeck.platform() as p:`, and the pytest plug-in `flowdeck`."""
