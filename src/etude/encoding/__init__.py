"""Columns into numbers, learned from train rows alone."""
