#!/bin/sh
# All four services of Temporal in one process, configured by the environment as Temporal's own image is.
# Its parts find each other by the container's address, so they listen there and not at 0.0.0.0.
set -eu
: "${BIND_ON_IP:=$(hostname -i | cut -d ' ' -f 1)}"
: "${TEMPORAL_BROADCAST_ADDRESS:=$BIND_ON_IP}"
export BIND_ON_IP TEMPORAL_BROADCAST_ADDRESS
exec temporal-server --allow-no-auth start
