#!/usr/bin/env bash
# Runs the integration tests of a test binary in two halves at the same time, every second test in each, and prints one after the other.
# Ctrl-C ends both.
set -euo pipefail
cd "$(dirname "$0")"
binary=$1
# See environment in test/cluster/process.go.
[ "$(nproc)" -gt 2 ] || export GOMAXPROCS=1

half() {
	local names
	names=$(sed -n 's/^func \(Test[A-Za-z0-9]*\)(t \*testing\.T).*/\1/p' ./*_test.go | LC_ALL=C sort | awk -v half="$1" 'NR % 2 == half' | paste -sd '|')
	"$binary" -test.count=1 -test.timeout 60m -test.run "^($names)$"
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT
half 1 >"$output" 2>&1 &
first=$!
status=0
half 0 || status=$?
wait "$first" || status=$?
cat "$output"
exit "$status"
