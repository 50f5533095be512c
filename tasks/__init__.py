"""One step of the DAG a file: a few lines that call the library, then log."""
