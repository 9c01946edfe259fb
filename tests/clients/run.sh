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

# Compilers and libraries of Go and Java are Debian's: their registries need not be reachable.
generate -g go -o "$folder/go/src/ocellus"
if command -v go >/dev/null && [ -d /usr/share/gocode/src/gopkg.in/validator.v2 ]; then
    mkdir "$folder/go/src/flow"
    cp "$here/flow.go" "$folder/go/src/flow/"
    # Its tests need a package that Debian does not have.
    rm -r "$folder/go/src/ocellus/test"
    (cd "$folder/go/src/flow" && GO111MODULE=off GOFLAGS= GOPATH=$folder/go:/usr/share/gocode go build -o "$folder/go/flow" .)
    "$folder/go/flow" "$server" "$token" "$recording"
else
    echo "go: generated only"
fi

# Jackson is in the generator itself. The library native sends a file's name instead of the file.
jars=$(echo "$tools"/venv/lib/*/site-packages/openapi_generator_cli/openapi-generator.jar)
missing=
for jar in jakarta-annotation-api httpclient5 httpcore5 httpcore5-h2 slf4j-api; do
    [ -e "/usr/share/java/$jar.jar" ] || missing=1
    jars+=:/usr/share/java/$jar.jar
done
generate -g java --library apache-httpclient -o "$folder/java" \
    --additional-properties openApiNullable=false,useJakartaEe=true
if [ -z "$missing" ] && command -v javac >/dev/null; then
    find "$folder/java/src/main" -name "*.java" >"$folder/java/sources"
    javac -nowarn -proc:none -Xlint:none -d "$folder/java/classes" -cp "$jars" @"$folder/java/sources" "$here/Flow.java" 2>"$folder/java/log" ||
        { cat "$folder/java/log" >&2; exit 1; }
    java -cp "$folder/java/classes:$jars" Flow "$server" "$token" "$recording"
else
    echo "java: generated only"
fi
