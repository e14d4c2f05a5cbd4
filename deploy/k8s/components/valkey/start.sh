#!/bin/sh
# Starts `server` or `sentinel`. The master is the one that the Sentinels name; while none does, it is valkey-0.
# `leave` is for a server that will be stopped: if it is the master, a replica takes over first.
set -eu

name() { echo "valkey-$1.valkey.$POD_NAMESPACE.svc"; }

ask() { timeout 2 valkey-cli -h "$(name "$1")" -p 26379 sentinel "$2" antiphon 2>/dev/null | head -n 1; }

me=$(name "${POD_NAME##*-}")
master=$(name 0)
for i in 0 1 2; do
    named=$(ask $i get-master-addr-by-name) || named=
    case $named in valkey-*) master=$named && break ;; esac
done

case $1 in
leave)
    [ "$master" = "$me" ] || exit 0
    # The Sentinel of this pod is stopped at the same time.
    for i in 0 1 2; do
        [ "$(name $i)" = "$me" ] || [ "$(ask $i failover)" != OK ] || break
    done
    for _ in $(seq 20); do
        for i in 0 1 2; do
            named=$(ask $i get-master-addr-by-name) || named=
            case $named in "$me" | "") ;; valkey-*) exit 0 ;; esac
        done
        sleep 0.5
    done
    ;;
server)
    # docs/redis.md says why. Users have passwords, so there is no need for the protected mode.
    cat >/data/valkey.conf <<EOF
port 6379
dir /data
protected-mode no
save ""
appendonly no
maxmemory 1gb
maxmemory-policy noeviction
aclfile /etc/valkey/users.acl
masteruser replica
masterauth $(cat /etc/valkey/replica-password)
replica-announce-ip $me
EOF
    [ "$master" = "$me" ] || echo "replicaof $master 6379" >>/data/valkey.conf
    exec valkey-server /data/valkey.conf
    ;;
sentinel)
    # After a restart of the container Sentinel goes on with the file, which it has rewritten meanwhile.
    [ -e /data/sentinel.conf ] || cat >/data/sentinel.conf <<EOF
port 26379
dir /data
protected-mode no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $me
sentinel monitor antiphon $master 6379 2
sentinel auth-user antiphon sentinel
sentinel auth-pass antiphon $(cat /etc/valkey/sentinel-password)
sentinel down-after-milliseconds antiphon 2000
sentinel failover-timeout antiphon 10000
EOF
    exec valkey-sentinel /data/sentinel.conf
    ;;
esac
