"""Where a Service's traffic may go: EndpointSlices and Endpoints from its pods, and slices mirrored from Endpoints."""
