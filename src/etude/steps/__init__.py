"""The steps of a training, one a module: from the outputs of earlier steps to an outcome.

A step is a plain function of a store, earlier outputs and its part of the experiment. It knows no task,
no tracker and no terminal; what it has to say is in its record.
"""
