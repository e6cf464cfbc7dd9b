"""What is wrong with a CEL expression before it runs: its types, and what it could cost."""
