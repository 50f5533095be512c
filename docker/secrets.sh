#!/bin/sh
# Makes one random password per role on first use, and keeps those that are there.
# The folder is closed to other users; the files are readable because a container's user has another number.
set -eu
folder=${ETUDE_SECRETS:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for role in postgres mlflow prefect; do
    file=$folder/${role}_password
    [ -s "$file" ] && continue
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$file.new"
    chmod 444 "$file.new"
    mv "$file.new" "$file"
done
