"""What is left when the database is lost? Encrypted copies of it. See README.md."""
