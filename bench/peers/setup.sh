#!/bin/sh
# SPDX-License-Identifier: MIT
# The peers' own tools in a virtual environment of their own, build/peers, at pinned versions.
set -eu

usage() {
  cat <<'TEXT'
usage: bench/peers/setup.sh [--all | --transport | --forward] [--python PYTHON]
  (nothing)         numpy, scikit-learn and safetensors: c2st.py and check_safetensors.py
  --all             also torch and sbi: bench/report, two_moons_peers.py, sampling_two_moons.py (several gigabytes)
  --transport       also torch, GeomLoss, JAX, OTT and POT: transport_agreement.py and transport_speed.py (the same)
  --forward         also dust_extinction, pyphot and speclite: forward_speed.py
  --python PYTHON   interpreter to build on, 3.11 or newer (default python3)
pip's own settings choose the index: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu gives a smaller torch.
TEXT
}

requirements=requirements.txt
python=python3
while [ $# -gt 0 ]; do
  case $1 in
    --all) requirements=requirements-all.txt ;;
    --transport) requirements=requirements-transport.txt ;;
    --forward) requirements=requirements-forward.txt ;;
    --python) python=${2:?--python wants an interpreter}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "setup.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

here=$(cd "$(dirname "$0")" && pwd)
environment=$here/../../build/peers
[ -x "$environment/bin/pip" ] || "$python" -m venv "$environment"
"$environment/bin/pip" install --quiet --requirement "$here/$requirements"
echo "$(cd "$environment" && pwd)/bin/python is ready"
