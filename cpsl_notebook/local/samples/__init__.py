"""The sample apps and the sample data of the local workspace.

An app is a generator function ``(session, text)``. These are scripted programs over real rows: they
answer what they can count, find or compute, and say that no model is asked.
"""
