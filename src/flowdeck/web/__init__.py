"""What the REST surfaces of components share: routing table, error forms, bodies, paging, filters, identity."""
