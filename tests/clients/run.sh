#!/usr/bin/env bash
# Generates clients from a server's document and does the whole flow with each.
# run.sh TOOLS SERVER TOKEN RECORDING FOLDER: TOOLS is what setup.sh made, FOLDER is for the clients.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$1" && pwd) server=$2 token=$3 recording=$4
mkdir -p "$5"
folder=$(cd "$5" && pwd)
python=$tools/venv/bin
curl --fail --silent --show-error "$server/openapi.json" -o "$folder/openapi.json"

# A warning is an operation or an answer that the client does not have.
said=$("$python/openapi-python-client" generate --path "$folder/openapi.json" --config "$here/generator.yaml" \
    --meta none --output-path "$folder/one/ocellus_client" 2>&1)
if grep -iq "warning parsing\|error" <<<"$said"; then
    echo "$said" >&2
    exit 1
fi
"$python/python" "$here/flow.py" openapi-python-client "$server" "$token" "$recording" "$folder/one"

generate() {
    "$python/openapi-generator-cli" generate -i "$folder/openapi.json" "$@" >"$folder/generator.log" 2>&1 ||
        { tail -n 30 "$folder/generator.log" >&2; exit 1; }
}
generate -g python -o "$folder/two" --additional-properties packageName=ocellus_client
"$python/python" "$here/flow.py" openapi-generator "$server" "$token" "$recording" "$folder/two"

cp "$here/flow.ts" "$here/fetch.ts" "$here/tsconfig.json" "$folder/"
ln -sfn "$tools/node_modules" "$folder/node_modules"
"$tools/node_modules/.bin/openapi-typescript" "$folder/openapi.json" --default-non-nullable false -o "$folder/schema.ts" >/dev/null
generate -g typescript-fetch -o "$folder/client"
"$tools/node_modules/.bin/tsc" -p "$folder"
echo '{"type": "commonjs"}' >"$folder/built/package.json"
node "$folder/built/flow.js" "$server" "$token" "$recording"
node "$folder/built/fetch.js" "$server" "$token" "$recording"

# Their compilers are rarely there: that the generators get through is what is tested.
for language in go java; do
    generate -g "$language" -o "$folder/$language"
    echo "$language: generated"
done
