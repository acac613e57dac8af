#!/bin/sh
# Make the sandbox's secrets on its first start: random, each in the volume of the one container that reads it.
# Needs the user ids of the readers in POSTGRES_UID, HAPI_UID and SERVICE_UID.
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

# keep FILE UID VALUE: the file appears whole or not at all, and only its reader may read it.
keep() {
  rm -f "$root/$1.new"
  printf '%s' "$3" >"$root/$1.new"
  chmod 0400 "$root/$1.new"
  chown "$2" "$root/$1.new"
  mv -f "$root/$1.new" "$root/$1"
}

if is_complete; then
  echo "secrets are there already"
  exit 0
fi

chmod 0755 "$root/postgres" "$root/hapi" "$root/service"
hapi_password=$(random)
trd_password=$(random)
keep postgres/postgres_password "$POSTGRES_UID" "$(random)"
keep postgres/hapi_password "$POSTGRES_UID" "$hapi_password"
keep postgres/trd_password "$POSTGRES_UID" "$trd_password"
keep hapi/spring.datasource.password "$HAPI_UID" "$hapi_password"
keep service/TRD_DATABASE_URL "$SERVICE_UID" "postgresql://trd:$trd_password@postgres:5432/trd"
keep service/TRD_HOOK_SECRET "$SERVICE_UID" "$(random)"
keep service/TRD_API_TOKEN "$SERVICE_UID" "$(random)"
is_complete || {
  echo "the secrets could not be made" >&2
  exit 1
}
echo "secrets made"
