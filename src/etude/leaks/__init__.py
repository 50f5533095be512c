"""What a split or a column gives away: findings from train rows, each with its evidence and the line to add."""
