#!/bin/bash
# Creates the cluster at the first start, then runs the server. The interface is that of the upstream image (variables
# and their _FILE forms, paths, uid, /docker-entrypoint-initdb.d), which the roles rely on.
set -Eeuo pipefail
shopt -s nullglob

fail() {
    echo "postgres entrypoint: $*" >&2
    exit 1
}

# setting NAME [DEFAULT]: sets NAME from itself or from the file that NAME_FILE names.
setting() {
    local name=$1 file_variable="${1}_FILE"
    local value=${!name:-} file=${!file_variable:-}
    [[ -z $value || -z $file ]] || fail "$name and $file_variable are both set; set one of them."
    [[ -z $file ]] || value=$(< "$file")
    printf -v "$name" '%s' "${value:-${2:-}}"
    export "${name?}"
    unset "$file_variable"
}

become_postgres() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    chmod 3777 /var/run/postgresql
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres:postgres '{}' +
    exec setpriv --reuid postgres --regid postgres --init-groups -- "${BASH_SOURCE[0]}" "$@"
}

create_cluster() {
    local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    [[ -n $POSTGRES_PASSWORD || $method == trust ]] \
        || fail "the database is new and has no password; set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE."
    local arguments=()
    [[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
    # One variable holds several arguments, quoted as in a shell.
    eval "arguments+=($POSTGRES_INITDB_ARGS)"
    initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

# Over the socket, so it needs no password; an error in a script stops the start.
sql() {
    psql --no-psqlrc --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

run_script() {
    echo "postgres entrypoint: running $1"
    case $1 in
        *.sh) if [[ -x $1 ]]; then "$1"; else . "$1"; fi ;;
        *.sql) sql --file "$1" ;;
        *.sql.gz) gunzip --stdout "$1" | sql ;;
        *.sql.xz) xz --decompress --stdout "$1" | sql ;;
        *.sql.zst) zstd --decompress --stdout "$1" | sql ;;
        *) echo "postgres entrypoint: ignored $1" ;;
    esac
}

# The server listens on its socket only, so that nobody meets a database that is half made.
provision_cluster() {
    pg_ctl --wait --silent start --options "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
    [[ $POSTGRES_DB == postgres ]] \
        || POSTGRES_DB=postgres sql --set name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name";'
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        run_script "$script"
    done
    pg_ctl --wait --silent --mode fast stop
}

[[ ${1:-} != -* ]] || set -- postgres "$@"

if [[ ${1:-} == postgres && ! " $* " =~ " "(-V|--version|-\?|--help|--describe-config)" " ]]; then
    if (( EUID == 0 )); then
        become_postgres "$@"
    fi
    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        setting POSTGRES_PASSWORD
        setting POSTGRES_USER postgres
        setting POSTGRES_DB "$POSTGRES_USER"
        setting POSTGRES_INITDB_ARGS
        create_cluster
        provision_cluster "${@:2}"
        unset POSTGRES_PASSWORD
        echo "postgres entrypoint: the database is ready to be used."
    fi
fi
exec "$@"
