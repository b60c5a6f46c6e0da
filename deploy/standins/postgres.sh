#!/bin/bash
# Starts a server with the user, password and database that POSTGRES_... variables name, as the official image does.
set -eu
data=/var/lib/postgresql/data
chown -R postgres "$data"
as_postgres() { su postgres -c "$*"; }
if [ ! -s "$data/PG_VERSION" ]; then
    install --mode=0600 --owner=postgres /dev/null /tmp/word
    printf %s "$POSTGRES_PASSWORD" >/tmp/word
    as_postgres initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile=/tmp/word --auth=scram-sha-256 --encoding=UTF8
    rm /tmp/word
    echo "CREATE DATABASE $POSTGRES_DB" | as_postgres postgres --single -D $data postgres
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
fi
exec su postgres -c "exec postgres -D $data -c listen_addresses='*'"
