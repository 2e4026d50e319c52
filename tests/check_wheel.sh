#!/bin/sh
# Build the wheel, install it alone into a new environment, and use it from a
# folder where the sources can't be seen: what the package needs, it must bring.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$BUILD_PYTHON" -m build --wheel --outdir "$work/dist" "$project" > "$work/build.log" 2>&1 \
    || { cat "$work/build.log"; exit 1; }
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$project/constraints.txt" "$work"/dist/*.whl

cp "$project/tests/wheel_check.py" "$work/"
cd "$work"
"$work/venv/bin/python" -W error wheel_check.py
"$work/venv/bin/astraguard-store" --version
"$work/venv/bin/astraguard-store" demo --results "$work/demo" > /dev/null
"$work/venv/bin/astraguard-store" compare demo-quick demo-slow --results "$work/demo" > /dev/null
"$work/venv/bin/astraguard-store" db current --results "$work/demo" > /dev/null
echo "the wheel works on its own"
