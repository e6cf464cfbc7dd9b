"""The pytest plug-in: gives any project a platform of its own in its tests."""
