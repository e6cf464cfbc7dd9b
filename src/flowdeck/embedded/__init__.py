"""What a real cluster would give: the API server, its store, the workload controllers, the node.

Used by `flowdeck up` alone; no component imports it.
"""
