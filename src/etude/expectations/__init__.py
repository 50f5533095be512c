"""What a table is expected to hold: a file that a person commits, and what drifted from it."""
