# Shared by the scripts beside it, which are run from anywhere and work at the top of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
# Everything is built once: it would cost time and room.
export CARGO_INCREMENTAL=0
target="${CARGO_TARGET_DIR:-target}"
gateway="$target/release/examples/gateway"
venv="$target/venv"

# The corpus of real errors and its scorer are kept outside the repository.
if [ -z "${TOWER_INFERENCE_SHARED:-}" ] && [ -d ../shared ]; then
  TOWER_INFERENCE_SHARED="$(cd ../shared && pwd)"
  export TOWER_INFERENCE_SHARED
fi

# step NAME COMMAND...: runs the command and says how long it took; a failure ends the script.
step() {
  local name="$1" begin=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  current="$name"
  "$@"
  printf '=== %s: %d s\n' "$name" $((SECONDS - begin))
}
current=start
trap 'status=$?; [ $status -eq 0 ] || printf "\n=== FAILED: %s\n" "$current"' EXIT

# cargo_tool COMMAND CRATE@VERSION: installs a subcommand of cargo where it is missing.
cargo_tool() {
  cargo "$1" --help >/dev/null 2>&1 || cargo install --locked "$2"
}

# What Debian leaves out of its Python, and curl for the HTTP/2 calls.
system_tools() {
  local missing=()
  command -v curl >/dev/null || missing+=(curl)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -eq 0 ] || { apt-get update -q && apt-get install -q -y "${missing[@]}"; }
}

python_tools() {
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r tests/clients/requirements.txt typos==1.52.0 taplo==0.9.3
}

# The SDKs for Node, beside a copy of the script that imports them.
node_tools() {
  command -v npm >/dev/null || { apt-get update -q && apt-get install -q -y --no-install-recommends nodejs npm; }
  mkdir -p "$target/node"
  cp tests/clients/node/* "$target/node"
  npm ci --silent --no-audit --no-fund --prefix "$target/node"
}

# What counts instructions. The runner is of the same version as the crate in Cargo.toml.
bench_tools() {
  command -v valgrind >/dev/null || { apt-get update -q && apt-get install -q -y valgrind; }
  command -v gungraun-runner >/dev/null || cargo install --locked gungraun-runner@0.18.2
}

# report WHAT [OPTION...]: measures, and fails where a goal is missed that does not depend on the machine.
report() {
  "$venv/bin/python" benches/report.py "$@"
}

build_gateway() {
  cargo build --release --example gateway
}

# sdk_check [OPTION...]: the real SDKs against the release gateway.
sdk_check() {
  "$venv/bin/python" tests/clients/run.py --gateway "$gateway" --node "$target/node" "$@"
}

# Streams that are cut, read with the decoders of the SDKs.
cut_check() {
  "$venv/bin/python" tests/clients/cuts.py --gateway "$gateway" --node "$target/node"
}
