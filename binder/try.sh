#!/usr/bin/env bash
# Do what Binder does with the files of this folder, in a temporary directory, and execute the notebooks there.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive HEAD | tar -x -C "$work" --one-top-level=home

wanted=$(sed 's/^python-//' binder/runtime.txt)
python=$(command -v "python$wanted" || command -v python3)
"$python" -m venv "$work/env"
export PATH="$work/env/bin:$PATH" IPYTHONDIR="$work/ipython"
unset VIRTUAL_ENV GC3STORE_URL
cd "$work/home"
python -m pip install --quiet --disable-pip-version-check --requirement binder/requirements.txt
./binder/postBuild
for notebook in notebooks/*.ipynb; do
    echo "$notebook"
    jupyter execute --timeout=300 "$notebook"
done
