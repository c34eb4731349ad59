"""Pure functions, each answering one small question about an event. Plain values in and out."""
