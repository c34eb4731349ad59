"""Who vouches for the tree? The signer: a small process with a key and a memory of its own."""
