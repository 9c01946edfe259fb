#!/usr/bin/env bash
# Installs generators of clients, schemathesis and client libraries into a folder (target/clients):
# Python's by pip, JavaScript's by npm; and on Debian promtool, out of its package, without the
# service that this would start. The tests that use them run where that folder is.
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
if ! command -v promtool >/dev/null && ! [ -x "$folder/prometheus/usr/bin/promtool" ] && command -v apt-get >/dev/null; then
    cd "$folder"
    apt-get download -qq prometheus
    dpkg-deb --extract prometheus_*.deb prometheus
    rm prometheus_*.deb
fi
