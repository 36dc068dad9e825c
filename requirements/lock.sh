#!/bin/sh
# Renew requirements/run.txt and dev.txt from pyproject.toml: versions and hashes, no index address.
set -eu
cd "$(dirname "$0")/.."
compile="uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate"
python3 - > requirements/.run.in <<'PY'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
ours = {"shopbell-client"}
print(*[d for d in project["project"]["dependencies"] if d not in ours], *project["build-system"]["requires"], sep="\n")
PY
python3 - > requirements/.dev.in <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")
PY
$compile requirements/.run.in requirements/.dev.in -o requirements/dev.txt "$@"
$compile -c requirements/dev.txt requirements/.run.in -o requirements/run.txt
rm requirements/.run.in requirements/.dev.in
