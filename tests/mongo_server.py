"""A MongoDB wire server on a free port of this machine, until its standard input ends.

Run by the Python of a separate environment with SecantusDB, which is only a test tool (GPL-2).
"""

import sys

from secantus import SecantusDBServer

server = SecantusDBServer(port=0, storage_path=':memory:', replica_set_name=None)
server.start()
print(server.uri, flush=True)
sys.stdin.read()
server.stop()
