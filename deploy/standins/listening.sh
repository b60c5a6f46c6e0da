#!/bin/bash
# kafka-broker-api-versions.sh --bootstrap-server HOST:PORT: whether somebody takes connections there.
exec python3 -c 'import socket, sys; host, port = sys.argv[2].split(":"); socket.create_connection((host, int(port)), 5)' "$@"
