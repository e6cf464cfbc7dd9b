"""What REST surfaces share."""
