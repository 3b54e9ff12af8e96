#!/usr/bin/env bash
# Starts a server for one version of a model, sends it the same images over REST and over gRPC, and
# stops it. Newer versions beside it, such as conversions, are not served. `make run` calls it:
# RUN=run MODEL=product_categories EXPORT=run/models/product_categories/1 PY=.venv/bin/python \
#   bash serving/ask.sh
set -euo pipefail

answers="$RUN/answers"
log="$RUN/server.log"
mkdir -p "$answers"

cat >"$RUN/models.config" <<CONFIG
model_config_list {
  config {
    name: "$MODEL"
    base_path: "$(cd "$(dirname "$EXPORT")" && pwd)"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: $(basename "$EXPORT") } }
  }
}
CONFIG

# Port 0 lets the system choose a free port.
"$PY" -X faulthandler -m serving.model_server --model_config_file="$RUN/models.config" \
  --port=0 --rest_api_port=0 >"$log" 2>&1 &
server=$!
trap 'kill -TERM $server 2>/dev/null || true' EXIT

for _ in $(seq 600); do
  grep -q '^ready: ' "$log" && break
  kill -0 $server 2>/dev/null || { echo "error: the server did not start:" >&2; cat "$log" >&2; exit 1; }
  sleep 0.2
done
if ! grep '^ready: ' "$log"; then
  kill -ABRT $server; sleep 1  # faulthandler writes the stack of each thread to the log
  echo "error: the server was not ready within 120 s, see $log" >&2
  exit 1
fi
grpc=$(sed -nE 's/^ready: .* gRPC ([^,]+),.*/\1/p' "$log")
rest=$(sed -nE 's#^ready: .* REST http://(.+)$#\1#p' "$log")

images=()
for image in "$RUN"/sample/photos/*.jpg; do images+=("--image=$image"); done
"$PY" -m serving.query --transport=rest --server="$rest" --model="$MODEL" "${images[@]}" --json="$answers/rest.json"
"$PY" -m serving.query --transport=grpc --server="$grpc" --model="$MODEL" "${images[@]}" --json="$answers/grpc.json" >/dev/null

trap - EXIT
kill -TERM $server
wait $server
