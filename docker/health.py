"""Exit code 0 when every address given answers 200, each asked with GET, or POST when a body follows it.

``health.py http://localhost:4200/api/ready``
``health.py http://localhost:5000/api/2.0/mlflow/experiments/search='{"max_results": 1}'``
"""

import sys
import urllib.request

TIMEOUT_SECONDS = 8


def ask(target: str) -> None:
    """Raises `OSError` unless the address answers in time and with success."""
    address, _, body = target.partition("=")
    request = urllib.request.Request(
        address, data=body.encode() or None, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
        pass


for target in sys.argv[1:]:
    try:
        ask(target)
    except OSError as error:
        sys.exit(f"{target}: {error}")
