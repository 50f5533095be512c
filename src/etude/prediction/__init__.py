"""A packed model over a table of any length: rows in, answers out, and how far the rows are from training."""
