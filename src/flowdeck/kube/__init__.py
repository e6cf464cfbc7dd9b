"""The Kubernetes API machinery, pure: no I/O, no clock, no logger.

What belongs here: values and functions on API objects (JSON trees) that would make sense in any program that speaks
Kubernetes: metadata, errors, conditions, quantities, selectors, patches, schemas, CEL. What does not: anything that
talks to a server, stores something, or knows a component.
"""
