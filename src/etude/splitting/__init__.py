"""Rows dealt to train, validation and test, and the certificate that nothing leaks."""
