# SPDX-License-Identifier: MIT
# What the tests of programs share. Arguments of each test: program, work folder, cmake.
set -uo pipefail
program=$1 work=$2 cmake=$3
rm -rf "$work" && mkdir -p "$work" || exit 1

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# succeeds ARGUMENTS...: the program exits with 0.
succeeds() {
  "$program" "$@" >"$work/out" 2>"$work/err" || fail "$* exits with $?: $(cat "$work/err")"
}
# refuses TEXT ARGUMENTS...: exit code 2 and a message of one sentence that contains TEXT.
refuses() {
  local text=$1 code=0
  shift
  "$program" "$@" >"$work/out" 2>"$work/err" || code=$?
  [ $code -eq 2 ] || fail "$* exits with $code; want 2"
  grep -qF -- "$text" "$work/err" || fail "$* says '$(cat "$work/err")'; want '$text' in it"
  # CLI11 adds a line that points to --help.
  [ "$(grep -cv -e '^$' -e '^Run with --help' "$work/err")" -eq 1 ] || fail "$*: more than a sentence: $(cat "$work/err")"
}
same() {
  cmp -- "$1" "$2" || fail "$1 and $2 differ"
}
# killed_at FILE ARGUMENTS...: the program is killed when it has written FILE.
killed_at() {
  local file=$1 pid
  shift
  "$program" "$@" 2>"$work/err" >"$work/out" &
  pid=$!
  for _ in $(seq 6000); do
    [ -e "$file" ] && break
    kill -0 $pid 2>/dev/null || fail "the run ended without $file: $(cat "$work/err")"
    sleep 0.05
  done
  kill -9 $pid
  wait $pid 2>/dev/null
  [ $? -eq 137 ] || fail "the run was over before it was killed"
}
# figure FILE KEY...: a value of a JSON file; fails where it is not there or null.
figure() {
  "$cmake" -D "FILE=$1" -D "KEYS=$(IFS=';' && echo "${*:2}")" -P "$(dirname "$0")/figure.cmake" 2>&1 ||
    fail "$1 has no ${*:2}"
}
# What every program has in common.
common_checks() {
  succeeds --help
  for flag in --seed --threads --output; do
    grep -q -- "$flag" "$work/out" || fail "--help does not name $flag"
  done
  refuses --no-such-flag --no-such-flag
  refuses "threads = -1" --threads -1 --output "$work/refused"
  refuses --steps --steps many --output "$work/refused"
  refuses /proc/sbi --output /proc/sbi
  touch "$work/file"
  refuses "$work/file" --output "$work/file/below"
}
