"""What goes by itself: old runs, logs and artifacts, and what removed runs leave."""
