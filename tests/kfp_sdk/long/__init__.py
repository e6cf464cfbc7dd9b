"""All of upstream's pipelines and our examples, run to their ends: minutes, so `make test-pipelines` asks for them."""
