"""KFP v2 pipelines: documents, plans, and the engine that decides what a run does next."""
