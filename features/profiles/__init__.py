"""Slow features of users and devices, built in batch and read online through Feast."""
