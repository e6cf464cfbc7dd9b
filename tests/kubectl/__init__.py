"""kubectl against a running platform: each test does what a person would type, in a namespace of its own."""
