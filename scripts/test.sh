#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the tests and examples for this machine and runs every test. The last line is ctest's own summary.
# A second call rebuilds nothing that has not changed. SBI_JOBS sets the number of compile jobs (default 2).
set -eu
cd "$(dirname "$0")/.."

scripts/dependencies.sh
scripts/build.sh release
ctest --preset release
