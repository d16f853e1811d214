#!/bin/bash
# Counts instructions per unit of the single-threaded rows with callgrind: unlike time, they repeat.
#
#   instructions.sh            prints instructions per unit, the engine beside its C twin
#   instructions.sh --check    exits 1 if a side takes over 3 % more than instructions.txt says
#   instructions.sh --update   writes instructions.txt
#
# A side's work is run for two round counts and the difference is taken, so that start-up drops out.
set -euo pipefail
cd "$(dirname "$0")"

mode=${1:-}
case $mode in
  "" | --check | --update) ;;
  *) echo "usage: instructions.sh [--check | --update]" >&2; exit 2 ;;
esac
command -v valgrind > /dev/null || { echo "instructions.sh: valgrind is not installed" >&2; exit 3; }

# Row, and rounds that make a few million instructions.
rows="
pin-4k 100
pin-2m 1000
alloc-order0-1 20000
alloc-order0-256 100
alloc-order0-4096 8
alloc-order9-1 20000
alloc-order9-128 100
offline-128mib 100
"
baseline=instructions.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

swift build -c release --product holdfast-bench > "$work/build" 2>&1 || { cat "$work/build" >&2; exit 4; }
# callgrind cannot read the debug information that this compiler writes.
strip -g -o "$work/bench" "$(swift build -c release --show-bin-path)/holdfast-bench"

# total ROW SIDE ROUNDS: instructions of the whole process; leaves the units per round in $work/units.
total() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/bench" --workload "$1" "$2" "$3" \
    > "$work/units" 2> "$work/log" || { cat "$work/log" >&2; return 1; }
  awk '/Collected *:/ { print $NF }' "$work/log"
}

"$work/bench" --list > "$work/list"
: > "$work/result"
printf '%-22s %-10s %12s %8s\n' row side instr/unit ratio
while read -r row rounds; do
  [ -n "$row" ] || continue
  grep -q "^$row:" "$work/list" && name=$row || name=floor/$row
  twin=
  for side in "C twin" Holdfast; do
    grep -Eq "^$name:(.*,)? $side(,|\$)" "$work/list" || continue
    one=$(total "$name" "$side" "$rounds")
    two=$(total "$name" "$side" $((2 * rounds)))
    count=$(awk -v a="$one" -v b="$two" -v n="$rounds" -v u="$(cat "$work/units")" \
      'BEGIN { printf "%.2f", (b - a) / n / u }')
    ratio=-
    if [ -n "$twin" ]; then
      ratio=$(awk -v a="$count" -v b="$twin" 'BEGIN { printf "%.2f", a / b }')
    else
      twin=$count
    fi
    printf '%-22s %-10s %12s %8s\n' "$row" "$side" "$count" "$ratio"
    printf '%s\t%s\t%s\n' "$row" "$side" "$count" >> "$work/result"
  done
done <<< "$rows"

case $mode in
  --update) cp "$work/result" "$baseline" ;;
  --check)
    awk -F '\t' '
      NR == FNR { expected[$1 FS $2] = $3; next }
      !(($1 FS $2) in expected) { print $1 ", " $2 ": not in instructions.txt; run --update"; bad = 1; next }
      $3 > expected[$1 FS $2] * 1.03 {
        print $1 ", " $2 ": " $3 " instructions per unit, at most " expected[$1 FS $2] " * 1.03 expected"; bad = 1
      }
      END { exit bad }' "$baseline" "$work/result" >&2 ;;
esac
