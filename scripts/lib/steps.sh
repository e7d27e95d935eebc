# shellcheck shell=bash disable=SC2154 # common.sh comes first
# Saying what is done while it is done: one line a step, with the time it took. Sourced by scripts/setup.

log="$tools/setup.log"

say() { echo "setup: $*"; }

# Microseconds since some point; whole seconds' worth where bash is too old to know better.
now() {
    if [ -n "${EPOCHREALTIME:-}" ]; then
        echo "${EPOCHREALTIME/./}"
    else
        echo "${SECONDS}000000"
    fi
}

# step TEXT COMMAND…: runs it, its output going to the log; its last lines are shown when it fails.
step() {
    local text="$1" began tenths status=0 lines
    shift
    began=$(now)
    lines=$(wc -l <"$log")
    printf 'setup: %s ... ' "$text"
    { "$@"; } >>"$log" 2>&1 </dev/null || status=$?
    tenths=$((($(now) - began) / 100000))
    if [ "$status" = 0 ]; then
        echo "$((tenths / 10)).$((tenths % 10)) s"
    else
        echo "failed after $((tenths / 10)).$((tenths % 10)) s"
        tail -n "+$((lines + 1))" "$log" | tail -n 4 | sed 's/^/setup:   | /'
    fi
    return "$status"
}

give_up() {
    local line
    for line in "$@"; do say "$line"; done
    [ ! -s "$log" ] || say "what was tried: $log"
    exit 1
} >&2

# with_limit SECONDS COMMAND…: where coreutils' `timeout` exists.
with_limit() {
    if command -v timeout >/dev/null; then
        timeout "$@"
    else
        shift
        "$@"
    fi
}

# only_one FD PATH: holds a lock on the file or folder PATH until this process ends, so that two
# runs of setup (of two checkouts, even) cannot spoil each other's work. rustup and Homebrew on
# macOS, which has no flock, have locks of their own.
only_one() {
    command -v flock >/dev/null || return 0
    eval "exec $1<\"\$2\""
    if ! flock --nonblock "$1"; then
        say "another setup is at work; waiting for it"
        flock "$1"
    fi
}

# Root by nature or by a sudo that asks nothing; PETREL_SETUP_ROOTLESS=1 says to do without.
is_root() {
    [ -z "${PETREL_SETUP_ROOTLESS:-}" ] || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo --non-interactive "$@"; fi
}
