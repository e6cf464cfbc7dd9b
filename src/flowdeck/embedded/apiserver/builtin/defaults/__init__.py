"""What the server fills in when a writer leaves it out, one file a group of kinds; pure functions on trees."""
