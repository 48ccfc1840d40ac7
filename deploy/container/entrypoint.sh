#!/bin/sh
# `dubarr-watch` inside the container: the same for the container's own start and for what is run
# beside it with `docker exec`, so that no file in CONFIG_DIR ever belongs to root by accident.
set -eu

config=${CONFIG_DIR:-/app/config}
models=${MODELS_DIR:-/app/models}
PUID=${PUID:-1000}
PGID=${PGID:-1000}

# Started as root: become PUID and PGID. With `--user` this has been done from outside.
if [ "$(id -u)" = 0 ] && [ "$PUID" != 0 ]; then
    case $PUID$PGID in
        *[!0-9]*)
            echo "PUID and PGID must be numbers; \`id\` shows your own." >&2
            exit 2
            ;;
    esac
    if [ "${1:-}" = run ] || [ "${1:-}" = worker ]; then
        # Never the videos: they belong to whoever put them there.
        find "$config" "$models" -xdev \( ! -user "$PUID" -o ! -group "$PGID" \) \
            -exec chown -h "$PUID:$PGID" {} + ||
            echo "Not all of $config and $models could be given to $PUID:$PGID." >&2
    fi
    # Groups that the container was started with (`group_add`) stay, less root's own.
    groups=$(id -G | tr ' ' '\n' | grep -vx 0 | tr '\n' ',') || groups=
    exec setpriv --reuid "$PUID" --regid "$PGID" --groups "$groups$PGID" -- "$0" "$@"
fi

umask "${UMASK:-022}"
export HOME="$config"
# With a read-only root there is no other place to write to.
if [ ! -w "${TMPDIR:-/tmp}" ]; then
    export TMPDIR="$config/tmp"
    mkdir -p "$TMPDIR"
fi

set -- /app/.venv_app/bin/python -m dubarr_watch "$@"
if [ $$ = 1 ]; then # no init above: orphans are adopted by process 1 and must be reaped
    set -- tini -- "$@"
fi
exec "$@"
