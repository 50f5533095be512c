"""The networks, built from the encoded columns."""
