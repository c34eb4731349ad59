"""The ledger as history: its events in the order in which they were accepted, and what is made of
them: files for training, and the counters of a velocity store that lost them.

Read with the keys, never written. Nothing here runs in the path of a request.
"""
