"""Admission: what is filled in and what is refused on the way of a write into the store; one file a plug-in."""
