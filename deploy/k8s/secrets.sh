#!/bin/sh
# Prints the Secrets of a production overlay, with new passwords, and shows the new API keys once, on standard error:
#   deploy/k8s/secrets.sh production-hostnetwork | kubectl apply -f -
#   deploy/k8s/secrets.sh production-turn rediss://user:password@redis.example.com | kubectl apply -f -
# Run it once: a second run replaces all of them. docs/deployment.md lists what is in them.
set -eu
overlay=${1:-}
redis=${2:-}
here=$(dirname "$0")
case $overlay:$redis in
production-hostnetwork:* | production-turn:?*) ;;
*)
    echo "usage: secrets.sh production-hostnetwork | production-turn REDIS_URL   (dev needs none)" >&2
    exit 2
    ;;
esac

new() { openssl rand -hex 32; }
sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

secret() { # NAMESPACE NAME KEY VALUE [KEY VALUE]...
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: { namespace: %s, name: %s }\ndata:\n' "$1" "$2"
    shift 2
    while [ $# -gt 0 ]; do
        printf '  %s: %s\n' "$1" "$(printf %s "$2" | base64 | tr -d '\n')"
        shift 2
    done
}

website=antiphon_$(new) console=antiphon_$(new)
echo "API keys: website (calls) $website, console (admin) $console" >&2
secret antiphon antiphon-gateway api-keys "website: $(sha256 "$website") calls
console: $(sha256 "$console") admin
"

case $overlay in
production-hostnetwork)
    acl=$(cat "$here/../redis/users.acl" "$here/components/valkey/users.acl")
    for user in admin gateway media pipeline replica sentinel; do
        eval "$user=$(new)"
        acl=$(printf %s "$acl" | sed "s/SHA256_OF_$(echo $user | tr a-z A-Z)/$(eval sha256 "\$$user")/")
    done
    url() {
        host=valkey.antiphon.svc
        echo "redis+sentinel://$1:$2@valkey-0.$host:26379,valkey-1.$host:26379,valkey-2.$host:26379/antiphon/0"
    }
    secret antiphon valkey users.acl "$acl
" admin-password "$admin" replica-password "$replica" sentinel-password "$sentinel"
    secret antiphon antiphon-redis gateway-url "$(url gateway "$gateway")" pipeline-url "$(url pipeline "$pipeline")"
    secret antiphon-media antiphon-redis media-url "$(url media "$media")"
    ;;
production-turn)
    secret antiphon antiphon-redis gateway-url "$redis" media-url "$redis" pipeline-url "$redis"
    secret antiphon antiphon-turn secret "$(new)"
    ;;
esac
