#!/bin/bash
# The server with numbers flowing into it, until Ctrl-C.
#
#     scripts/run.sh [--demo] APUS [arguments for `apus serve`]
#
# The numbers are this host's own, into ./apus-data; with --demo those of a simulated cluster, into
# ./apus-demo.
#
# Both processes run in groups of their own (set -m): Ctrl-C then reaches this script alone, which
# passes it on once, by process id. A server that got it twice would stop without finishing.
set -uo pipefail
set -m

demo=0
if [ "$1" = --demo ]; then
    demo=1
    shift
fi
apus=$1
shift
# The last --data wins, so the caller may name another directory.
data=./apus-data
[ "$demo" = 1 ] && data=./apus-demo
server_arguments=(--data "$data" "$@")

server=
collector=
interrupted=0
stop() {
    interrupted=1
    [ -n "$collector" ] && kill -TERM "$collector" 2>/dev/null
    [ -n "$server" ] && kill -TERM "$server" 2>/dev/null
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkfifo "$scratch/ready"
trap stop INT TERM

"$apus" serve "${server_arguments[@]}" >"$scratch/ready" &
server=$!
exec 3<"$scratch/ready"

# Waits for the server's end and gives its exit code, also across our own signals.
wait_for_server() {
    local code again
    wait "$server"
    code=$?
    while [ "$interrupted" = 1 ]; do
        interrupted=0
        wait "$server"
        again=$?
        # 127: it had been waited for already, just before the signal.
        [ "$again" = 127 ] || code=$again
    done
    return "$code"
}

finish() {
    wait_for_server
    local code=$?
    if [ -n "$collector" ]; then
        kill -TERM "$collector" 2>/dev/null
        wait "$collector" 2>/dev/null
    fi
    exit "$code"
}

# Opening a large directory takes a while; the server itself says on standard error what it does.
# The end of the stream, without a line, is the end of the server.
ready=
while ! IFS= read -r -t 1 -u 3 ready; do
    [ "$interrupted" = 0 ] || finish
    kill -0 "$server" 2>/dev/null || finish
done
echo "$ready"

address=$(printf '%s\n' "$ready" | sed -n 's/^apus ready .*http=\([^ ]*\).*/\1/p')
if [ -z "$address" ] || [ "$address" = off ]; then
    echo "HTTP is off: the collector is not started." >&2
    finish
fi
# A server on all addresses is reached on the loopback.
case $address in
    0.0.0.0:*) address=127.0.0.1:${address##*:} ;;
    '[::]:'*) address="[::1]:${address##*:}" ;;
esac

if [ "$demo" = 1 ]; then
    database=demo table=vm
    "$apus" demo --url "http://$address" &
else
    database=default table=cpu
    "$apus" collect --url "http://$address" --interval 1s &
fi
collector=$!

ask() {
    local authorization=()
    [ -n "${APUS_TOKEN:-}" ] && authorization=(-H "Authorization: Token $APUS_TOKEN")
    curl -sS --max-time 5 "${authorization[@]}" -G "http://$address/sql" \
        --data-urlencode "db=$database" --data-urlencode "q=$1"
}

# The second sample is the first with processors; twenty looks are twenty seconds.
rows=0
for _ in $(seq 20); do
    [ "$interrupted" = 0 ] || finish
    sleep 1
    answer=$(ask "SELECT count(*) FROM $table WHERE time > now() - INTERVAL '1 minute'" 2>&1)
    rows=$(printf '%s' "$answer" | sed -n 's/.*"rows":\[\[\([0-9]*\)\]\].*/\1/p')
    [ "${rows:-0}" -gt 0 ] && break
done
[ "$interrupted" = 0 ] || finish

if [ "${rows:-0}" -gt 0 ]; then
    if [ "$demo" = 1 ]; then
        echo "The cluster's numbers arrive: $rows rows in table vm of the last minute."
    else
        echo "This host's numbers arrive: $rows rows in table cpu so far."
    fi
else
    echo "No rows have arrived after 20 seconds. The last answer: $answer" >&2
fi
if [ "$demo" = 1 ]; then
    cat <<TEXT

Try next, from another terminal, and then docs/tour.md:

  $apus sql --url http://$address --db demo -e "SELECT host, avg(cpu), max(cpu) FROM host WHERE time > now() - INTERVAL '1 hour' GROUP BY host ORDER BY host"

TEXT
else
    cat <<TEXT

Try next, from another terminal:

  curl -G http://$address/sql --data-urlencode "q=SELECT time, usage_user, usage_system FROM cpu WHERE cpu = 'cpu-total' AND time > now() - INTERVAL '1 minute' ORDER BY time"

or  $apus sql --url http://$address

TEXT
fi
echo "Ctrl-C stops both."
finish
