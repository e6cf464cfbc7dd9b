"""The Job controller: pods until they have succeeded often enough, each counted exactly once."""
