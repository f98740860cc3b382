#!/bin/sh
# Whether the frontend takes connections.
exec nc -z "${BIND_ON_IP:-$(hostname -i | cut -d ' ' -f 1)}" "${FRONTEND_GRPC_PORT:-7233}"
