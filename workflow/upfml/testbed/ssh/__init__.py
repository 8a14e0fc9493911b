"""A test bed of the user's own machines, reached over SSH."""
