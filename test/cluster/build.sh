#!/usr/bin/env bash
# build.sh ARGUMENT...: runs `go build ARGUMENT...`, and shows meanwhile how many packages are compiled. A terminal has that on one
# line; elsewhere there is a line every minute. The last argument is the package to build. Packages in Go's cache are not
# compiled again, so a build may end before all of them are counted.
set -euo pipefail

interval=60
next=$interval

show() { # TEXT
	local elapsed
	printf -v elapsed '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60))
	if [ -t 2 ]; then
		printf '\r\033[K%s %s' "$elapsed" "$1" >&2
	elif ((SECONDS >= next)); then
		printf '%s %s\n' "$elapsed" "$1" >&2
		next=$((SECONDS + interval))
	fi
}

# follow counts what go prints on standard input: modules and packages. It passes on everything else, such as errors.
follow() { # TOTAL
	local total=$1 line status modules=0 packages=0
	while true; do
		status=0
		IFS= read -r -t 1 line || status=$?
		# More than 128 is a second without a line.
		if ((status > 0 && status <= 128)); then
			break
		fi
		if ((status == 0)); then
			case $line in
			'go: downloading '*) modules=$((modules + 1)) ;;
			*' '* | *:*)
				[ ! -t 2 ] || printf '\r\033[K' >&2
				printf '%s\n' "$line" >&2
				;;
			?*) packages=$((packages + 1)) ;;
			esac
		fi
		if ((total > 0)); then
			show "compiled $packages of $total packages"
		elif ((modules > 0)); then
			show "downloaded $modules modules"
		fi
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

list=$(mktemp)
trap 'rm -f "$list"' EXIT
go list -deps -- "${!#}" 2>&1 >"$list" | follow 0
go build -v "$@" 2>&1 | follow "$(wc -l <"$list")"
