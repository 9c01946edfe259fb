#!/usr/bin/env bash
# Installs generators of clients and schemathesis into a folder (target/clients): Python's by pip,
# JavaScript's by npm. The tests of clients run where that folder is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../target/clients}
mkdir -p "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet -r "$here/requirements.txt"
# What openapi-generator's Python clients need.
"$folder/venv/bin/pip" install --quiet python-dateutil pydantic urllib3 typing-extensions
cp "$here/package.json" "$folder/"
npm install --prefix "$folder" --silent --no-audit --no-fund
