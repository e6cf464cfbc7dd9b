"""What tests live in: the embedded API server in the process, a clock that they move, no mocks."""
