"""The training loop: exact to the bit, resumable at any step."""
