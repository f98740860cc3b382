#!/bin/sh
# Bring both of Temporal's databases to the schema of this version; on one that is there already, nothing happens.
# SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD say where, as temporal-sql-tool reads them.
set -eu
export SQL_PLUGIN=postgres12

up_to_date() {
    SQL_DATABASE=$1 temporal-sql-tool setup-schema --version 0.0
    SQL_DATABASE=$1 temporal-sql-tool update-schema --schema-name "postgresql/v12/$2"
}

up_to_date temporal temporal
up_to_date temporal_visibility visibility
