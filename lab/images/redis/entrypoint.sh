#!/bin/sh
# Starts Redis as its own user; arguments alone are Redis's, as with the upstream image.
set -eu

case ${1:-} in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis:redis '{}' +
        exec setpriv --reuid redis --regid redis --init-groups -- "$0" "$@"
    fi
    umask 0077
    # Upstream's build has no protected mode by default, since a container is reached from outside it.
    [ $# -gt 1 ] || set -- "$@" --protected-mode no
fi
exec "$@"
