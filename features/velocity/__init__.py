"""What happened before to this user, device, address or instrument, over sliding windows.

One declaration (a series plan), one observation per event, two stores: one in Valkey, of bounded
size, and an exact one in process. Nothing here knows HTTP, the environment or a clock.
"""
