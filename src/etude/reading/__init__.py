"""Any table in: exactly as it stands at its source, or refused with the place that is wrong."""
