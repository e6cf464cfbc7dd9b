"""The platform on a real cluster: brought there, run with its own rights, killed, taken away."""
