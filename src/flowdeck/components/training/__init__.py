"""Trainer v2: TrainJobs, and the runtimes that they start from. README.md says what is where."""
