#!/usr/bin/env bash
# Fetches the original µRaiden contracts into target/original/contracts.json, for the tests that hold ours against them.
#
#   contracts/fetch-original.sh [DIRECTORY]      default: target/original beside this repository's Cargo.toml
#
# They come in the PyPI package microraiden 0.2.6, pinned by hash, from whatever index pip is configured to use. Nothing
# of the package is installed or committed. Does nothing when the file is there already.
set -euo pipefail

package=microraiden-0.2.6
hash=sha256:1fb7b4b9f4d91b566cfdbba2f124d305f3233f8c2bd1ad691164d33d3b70489c
directory=${1:-$(cd "$(dirname "$0")/.." && pwd)/target/original}

if [ -s "$directory/contracts.json" ]; then
    echo "$directory/contracts.json is there already."
    exit 0
fi

mkdir -p "$directory"
scratch=$(mktemp -d "$directory/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

echo "microraiden==0.2.6 --hash=$hash" > "$scratch/requirements.txt"
python3 -m pip --disable-pip-version-check --quiet download \
    --no-deps --no-binary microraiden --requirement "$scratch/requirements.txt" --dest "$scratch"

tar -xzf "$scratch/$package.tar.gz" -C "$scratch" "$package/microraiden/data/contracts.json"
# Renamed into place, so that an interrupted run leaves no half a file behind.
mv "$scratch/$package/microraiden/data/contracts.json" "$directory/contracts.json"
echo "Wrote $directory/contracts.json."
