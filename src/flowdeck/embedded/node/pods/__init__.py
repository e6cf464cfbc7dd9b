"""The life of a pod: what to start, stop, probe and report. `decide` and `status` are pure, `worker` acts."""
