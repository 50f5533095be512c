"""Etude trains neural networks and can prove what it did. The library: it knows neither Prefect nor MLflow."""
