"""What happened before to this user, device, address or instrument, over sliding windows.

One declaration (a series plan), one observation per event, two exact stores: one in Valkey, one in
process. Nothing here knows HTTP, the environment or a clock.
"""
