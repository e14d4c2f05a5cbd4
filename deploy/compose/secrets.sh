#!/bin/sh
# Makes the secrets of deploy/compose.yaml in a folder beside this script, once, and shows the API key, which is kept nowhere.
#   sh deploy/compose/secrets.sh
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || { echo "deploy/compose/secrets exists already: delete it to replace all secrets" >&2; exit 1; }

random() { openssl rand -hex 32; }
sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

# The folder is closed to other users. Its files are open, because containers see them with their own user ids.
umask 022
mkdir -m 700 secrets
cp ../redis/users.acl secrets/users.acl
for user in admin gateway media pipeline; do
    password=$(random)
    sed -i "s/SHA256_OF_$(echo $user | tr a-z A-Z)/$(sha256 "$password")/" secrets/users.acl
    echo "ANTIPHON_REDIS_URL=redis://$user:$password@valkey:6379/0" >secrets/$user.env
done
random >secrets/turn-secret
{ cat turnserver.conf && echo "static-auth-secret=$(cat secrets/turn-secret)"; } >secrets/turnserver.conf
random >secrets/grafana-password
key=antiphon_$(random)
echo "website: $(sha256 "$key") calls" >secrets/api-keys
operator=antiphon_$(random)
echo "operator: $(sha256 "$operator") admin" >>secrets/api-keys
echo "API key for calls:              $key"
echo "API key for /dashboard:         $operator"
echo "Password of admin in Grafana:   deploy/compose/secrets/grafana-password"
