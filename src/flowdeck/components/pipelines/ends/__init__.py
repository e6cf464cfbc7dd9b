"""What follows from the end of a run: sizes of what it made, messages to web hooks."""
