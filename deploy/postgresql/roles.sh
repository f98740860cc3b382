#!/bin/sh
# Run once, on an empty data folder: a role for each of the two that share this server, and their databases.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --set=tieline="$TIELINE_DATABASE_PASSWORD" --set=temporal="$TEMPORAL_DATABASE_PASSWORD" <<'END'
CREATE ROLE tieline LOGIN PASSWORD :'tieline';
CREATE DATABASE tieline OWNER tieline;
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE CONNECT ON DATABASE tieline, temporal, temporal_visibility FROM PUBLIC;
END
