"""What a column holds: its kind by written rules, and its cells as numbers, texts, instants."""
