"""What we know about an event and the people and things in it.

Pure cores (event, money, tags, entities, catalog, vector) and one stateful part (velocity).
Invariant: nothing here reads a clock, the environment or a global, or imports rules or service.
"""
