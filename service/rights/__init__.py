"""Rights of persons: restriction, erasure, retention, and access to what is held about them."""
