"""What was decided, sealed and durable: entries, their writer, their reader and their verifier."""
