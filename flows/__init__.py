"""What happens, in order: one DAG a file."""
