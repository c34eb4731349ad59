"""Who places entries in the tree: one process at a time, whatever becomes of the others."""
