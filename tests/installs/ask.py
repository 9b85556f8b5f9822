"""Start a server for a configuration, ask it for user 1 of ``shop``, and print the answer as JSON."""

import sys
from pathlib import Path

from cuvee.testing import run_server
from google.protobuf.json_format import MessageToJson

with run_server(Path(sys.argv[1])) as server:
    sys.stdout.write(MessageToJson(server.client.recommend("shop", user_id="1")))
