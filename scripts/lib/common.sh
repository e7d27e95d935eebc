# shellcheck shell=bash disable=SC2034 # read where this is sourced
# What scripts/setup and scripts/doctor share. Sourced from the repository's root, never run.
# Kept to bash 3.2, the one macOS has.

export LC_ALL=C

# The kernel is soft-float; programs at EL0 may use FP.
targets="aarch64-unknown-none-softfloat aarch64-unknown-none"

# The names of a rustc target's libraries that `#![no_std]` code needs.
target_crates="core alloc compiler_builtins"

tools="$PWD/.tools"

# Debian and Ubuntu answer `debian`: what matters here is the package manager.
host_os() {
    case "$(uname -s)" in
    Darwin) echo macos ;;
    Linux)
        if command -v apt-get >/dev/null; then
            echo debian
        elif command -v dnf >/dev/null; then
            echo fedora
        else
            echo other
        fi
        ;;
    *) echo other ;;
    esac
}

# at_least HAVE WANT: dotted versions, the first two numbers count.
at_least() {
    local have_major have_minor want_major want_minor _
    IFS=. read -r have_major have_minor _ <<<"$1.0"
    IFS=. read -r want_major want_minor _ <<<"$2.0"
    ((have_major > want_major || (have_major == want_major && ${have_minor%%[!0-9]*} >= ${want_minor%%[!0-9]*})))
}

# The oldest rustc the workspace takes; Cargo.toml is the one place that says it.
oldest_rust() {
    local version
    version=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
    echo "${version:-1.85}"
}

oldest_qemu=7.2

# The QEMU the harness will run, in the order it looks.
find_qemu() {
    if [ -n "${PETREL_QEMU:-}" ]; then
        command -v "$PETREL_QEMU"
    elif [ -x "$tools/qemu/usr/bin/qemu-system-aarch64" ]; then
        echo "$tools/qemu/usr/bin/qemu-system-aarch64"
    else
        command -v qemu-system-aarch64
    fi
}

qemu_version() {
    "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p'
}

# target_ready SYSROOT TARGET: rustup says so, or our own stamp names this very rustc.
# Without the one or the other a folder may be the half of an installation, or an older rustc's.
target_ready() {
    local rustlib="$1/lib/rustlib" stamp
    set -- "$rustlib" "$2" "$rustlib/$2/lib"/libcore-*.rlib
    [ -e "$3" ] || return 1
    [ -e "$rustlib/manifest-rust-std-$2" ] && return 0
    [ -r "$rustlib/$2/petrel-stamp" ] || return 1
    read -r stamp <"$rustlib/$2/petrel-stamp"
    [ "$stamp" = "$(rustc --version)" ]
}

# can_compile TARGET: the proof, for targets that came some other way (a distribution's package).
# Into a folder of its own: rustc replaces what it writes to, and as root that could be a device.
can_compile() {
    local folder status=0
    folder=$(mktemp -d) || return
    echo '#![no_std] extern crate alloc; pub fn f() -> alloc::vec::Vec<u8> { alloc::vec::Vec::new() }' |
        rustc --target "$1" --crate-name probe --crate-type rlib --out-dir "$folder" - >"$folder/log" 2>&1 || status=1
    rm -rf "$folder"
    return "$status"
}

# rustc links the host's programs (the harness) by way of the C compiler.
have_cc() { command -v cc >/dev/null; }

# The names under which systems have a C compiler for AArch64: Debian and Fedora, Arm's own, Homebrew's.
cross_names="aarch64-linux-gnu-gcc aarch64-none-elf-gcc aarch64-elf-gcc aarch64-unknown-linux-gnu-gcc"

# The one that the tests of programs in C use, in the order in which they look.
find_cross() {
    local name
    for name in $cross_names; do
        if [ -x "$tools/cross/usr/bin/$name" ]; then
            echo "$tools/cross/usr/bin/$name"
            return
        fi
    done
    for name in $cross_names; do
        command -v "$name" && return
    done
    return 1
}
