"""The Merkle tree over the headers (RFC 6962): pure arithmetic, and the tree as it is stored."""
