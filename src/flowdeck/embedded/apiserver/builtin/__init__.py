"""The kinds that Kubernetes itself brings: what they are called, what fills them in, what they refuse."""
