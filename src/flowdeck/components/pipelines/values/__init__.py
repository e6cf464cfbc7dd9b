"""What travels between tasks: parameters, artifacts, placeholders, conditions. Pure."""
