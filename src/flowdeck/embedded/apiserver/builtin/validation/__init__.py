"""What the server refuses, in upstream's words, one file a group of kinds; pure functions on trees."""
