#!/bin/sh
# Make the sandbox's secrets on its first start: random, each in the volume of the containers that read it.
# They belong to the group 0, under which every container of the sandbox runs, whatever its user id.
set -eu
umask 077
root=${1:-/secrets}

random() { head -c 32 /dev/urandom | sha256sum | cut -d ' ' -f 1; }

is_complete() {
  for name in postgres/postgres_password postgres/hapi_password postgres/trd_password \
    hapi/spring.datasource.password service/TRD_DATABASE_URL service/TRD_HOOK_SECRET service/TRD_API_TOKEN; do
    [ -s "$root/$name" ] || return 1
  done
}

# keep FILE VALUE: the file appears whole or not at all, and nobody may change it.
keep() {
  rm -f "$root/$1.new"
  printf '%s' "$2" >"$root/$1.new"
  chmod 0440 "$root/$1.new"
  mv -f "$root/$1.new" "$root/$1"
}

if is_complete; then
  echo "secrets are there already"
  exit 0
fi

hapi_password=$(random)
trd_password=$(random)
keep postgres/postgres_password "$(random)"
keep postgres/hapi_password "$hapi_password"
keep postgres/trd_password "$trd_password"
keep hapi/spring.datasource.password "$hapi_password"
keep service/TRD_DATABASE_URL "postgresql://trd:$trd_password@postgres:5432/trd"
keep service/TRD_HOOK_SECRET "$(random)"
keep service/TRD_API_TOKEN "$(random)"
is_complete || {
  echo "the secrets could not be made" >&2
  exit 1
}
echo "secrets made"
