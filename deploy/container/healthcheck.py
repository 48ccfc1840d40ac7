"""Exit with 0 while all is well: /health answers 200, or there is no API to ask."""

import http.client
import os
import sys

port = int(os.environ.get("API_PORT") or 8000)
host = os.environ.get("API_HOST") or "0.0.0.0"  # noqa: S104
if port:
    local = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    connection = http.client.HTTPConnection(local, port, timeout=8)
    try:
        connection.request("GET", "/health", headers={"Host": "localhost"})
        answer = connection.getresponse()
        sys.stdout.write(answer.read().decode())
    except OSError as error:
        sys.exit(f"/health on port {port} does not answer: {error}")
    sys.exit(answer.status != http.client.OK)
