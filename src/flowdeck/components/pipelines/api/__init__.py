"""The REST surface of pipelines, `/apis/v2beta1`."""
