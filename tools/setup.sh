#!/bin/sh
# Makes .venv with everything that is needed to run and to test. Needs Python 3.11 or newer and a network.
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-}"
if [ -z "$python" ]; then
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1; then python=$candidate; break; fi
  done
fi
[ -n "$python" ] || { echo "setup: no python3 found; install Python 3.11 or newer" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "setup: $("$python" --version) is too old; Flowdeck needs Python 3.11 or newer (set PYTHON=...)" >&2; exit 1; }

find_uv() {
  for candidate in "$(command -v uv || true)" .uv/bin/uv; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then echo "$candidate"; return; fi
  done
}
uv=$(find_uv)
if [ -z "$uv" ]; then
  # uv comes from the package index. Debian's Python has venv or pip in packages of their own: either will do.
  if "$python" -m venv .uv >/dev/null 2>&1; then .uv/bin/pip install --quiet uv
  elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --target .uv uv
  else
    rm -rf .uv
    "$python" tools/fetch_uv.py .uv
  fi
  uv=$(find_uv)
fi
[ -n "$uv" ] || { echo "setup: could not get uv; install it (pip install uv) and try again" >&2; exit 1; }
UV_PROJECT_ENVIRONMENT="$PWD/.venv" "$uv" sync --quiet --frozen --python "$("$python" -c 'import sys; print(sys.executable)')"
# uv leaves compiling to the first import, which PYTHONDONTWRITEBYTECODE forbids: then every start would compile it all.
if [ ! .venv/compiled -nt uv.lock ]; then
  .venv/bin/python -m compileall -qq .venv/lib || true  # some packages carry files that are broken on purpose
  touch .venv/compiled
fi
.venv/bin/python -m compileall -qq src
