#!/bin/sh
# Makes what docker-compose.yml needs and nobody else may know, once: what is there stays as it is.
#
# Docker mounts these files as they are, with their owner and mode. Our programs take a secret only if it is theirs alone, so
# they run as whoever runs this (root's are given to user 65532). What servers read as other users is readable, in a folder
# that only its owner can enter.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets

user="$(id -u):$(id -g)"
[ "$user" = 0:0 ] && user=65532:65532

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# once NAME MODE OWNER: stores what comes in by the standard input, unless there is such a file.
once() {
    [ -e "secrets/$1" ] && { cat >/dev/null; return; }
    cat >"secrets/$1.new"
    chmod "$2" "secrets/$1.new"
    [ "$(id -u)" != 0 ] || chown "$3" "secrets/$1.new"
    mv "secrets/$1.new" "secrets/$1"
    echo "made compose/secrets/$1"
}

random | once postgres.password 444 0:0
echo "SLUICE_DATABASE__URL=postgres://sluice:$(cat secrets/postgres.password)@postgres/sluice" | once database.env 400 0:0
random | once queue.password 400 "$user"
printf 'default_user = sluice\ndefault_pass = %s\n' "$(cat secrets/queue.password)" | once rabbitmq.conf 444 0:0
random | once grafana.password 444 0:0
# Two accounts of the development chain: everybody knows their keys. For a real chain, put keys of your own here.
echo 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80 | once payer.key 400 "$user"
echo 0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d | once payee.key 400 "$user"

grep -qs '^SLUICE_USER=' ../.env || echo "SLUICE_USER=$user" >>../.env
