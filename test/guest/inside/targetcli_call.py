"""targetcli_call.py ARGUMENT...: as `targetcli ARGUMENT...`, by targetcli_server.py."""
import json
import os
import socket
import sys
import time

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    for attempt in range(300):  # it may still be loading
        try:
            server.connect("/run/bulkhead-guest-targetcli")
            break
        except OSError:
            time.sleep(0.2)
    else:
        sys.exit("the server of targetcli does not start")
    call = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
    socket.send_fds(server, [json.dumps(call).encode()], [0, 1, 2])
    status = server.recv(1)
sys.exit(status[0] if status else "the server of targetcli has ended")
