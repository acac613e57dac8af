#!/bin/sh
# The command inside the image: takes settings from files, as Docker and Kubernetes hand out secrets, then runs.
# /run/secrets/TRD_API_TOKEN sets TRD_API_TOKEN, and so on; a variable that is set already is kept.
# Being the command itself and not only the entry point, it works with `docker compose exec` too.
set -eu
for file in /run/secrets/TRD_*; do
  [ -f "$file" ] || continue
  name=${file##*/}
  if ! printenv "$name" >/dev/null; then
    value=$(cat "$file")
    export "$name=$value"
  fi
done
exec /opt/trd-careplan/bin/trd-careplan "$@"
