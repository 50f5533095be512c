"""One step of the DAG a file: a few lines that call the library, then log."""

import os
import warnings

from etude.home import home

# Prefect makes its home when it is imported (~/.prefect unless told otherwise) and, on a terminal, reports the
# import to its makers. What imports a task comes through here first, whichever module then imports Prefect.
os.environ.setdefault("PREFECT_HOME", str(home() / "prefect"))
os.environ.setdefault("DO_NOT_TRACK", "1")
# An import makes no folder: Prefect's home comes into being with its first use.
warnings.filterwarnings("ignore", message="Failed to create the Prefect home directory")
