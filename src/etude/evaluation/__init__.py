"""How good a network is: metrics, intervals, baselines, the overfitting verdict."""
