# shellcheck shell=bash disable=SC2154 # common.sh and steps.sh come first
# The Rust targets. Sourced by scripts/setup.
#
# Four ways, in this order: rustup downloads them; the library's source, of the very version that is
# installed, comes as a Debian package and is built here (half a minute) and put where rustup would
# have put it; a whole toolchain of Debian's, unpacked in .tools/rust; advice.
# After each of the first three, plain stable `cargo build --target …` works.

sysroot=""

missing_targets() {
    local target missing=""
    for target in $targets; do
        target_ready "$sysroot" "$target" || can_compile "$target" || missing="${missing:+$missing }$target"
    done
    echo "$missing"
}

have_rust() {
    command -v cargo >/dev/null && sysroot=$(rustc --print sysroot 2>/dev/null)
}

rust_ready() {
    have_rust && [ -z "$(missing_targets)" ]
}

provide_rust() {
    if have_rust; then
        only_one 8 "$sysroot/lib/rustlib"
        by_rustup && return
        by_source && return
        say "next: a Rust toolchain of the distribution's, for this checkout alone"
    elif [ -z "${PETREL_SETUP_DEBIAN_RUST:-}" ]; then
        give_up "there is no cargo and rustc on the PATH." \
            "Install rustup from its web site (or the distribution's package 'rustup', then 'rustup default stable'), then try again." \
            "Where that cannot be reached, a Debian machine may say PETREL_SETUP_DEBIAN_RUST=1 make setup."
    fi
    by_debian && return
    give_up "the Rust targets $targets cannot be had here." \
        "With a network: rustup target add $targets" \
        "Fedora's own rustc: sudo dnf install rust-std-static-aarch64-unknown-none-softfloat" \
        "Otherwise copy lib/rustlib/<target> from a machine with the same 'rustc --version' into ${sysroot:-the toolchain}/lib/rustlib."
}

# ---- 1. rustup ----

by_rustup() {
    local missing target
    missing=$(missing_targets)
    [ -n "$missing" ] || return 0
    command -v rustup >/dev/null || return
    # Is the rustc of the PATH one of rustup's?
    [ "$("$(rustup which rustc 2>/dev/null)" --print sysroot 2>/dev/null)" = "$sysroot" ] || return
    # rustup refuses to write into folders it does not know: our own of an older rustc, or a half one.
    for target in $missing; do
        [ -e "$sysroot/lib/rustlib/manifest-rust-std-$target" ] || rm -rf "$sysroot/lib/rustlib/$target"
    done
    # shellcheck disable=SC2086 # target names
    RUSTUP_MAX_RETRIES=0 RUSTUP_DOWNLOAD_TIMEOUT=10 step "rustup target add $missing" \
        with_limit 180 env -u RUST_BACKTRACE rustup target add $missing || return
    [ -z "$(missing_targets)" ]
}

# ---- 2. the library's source ----

by_source() {
    local missing release source="$sysroot/lib/rustlib/src/rust"
    missing=$(missing_targets)
    [ -n "$missing" ] || return 0
    if [ ! -w "$sysroot/lib/rustlib" ]; then
        say "$sysroot/lib/rustlib is not ours to write into"
        return 1
    fi
    if ! source_ready "$source"; then
        [ "$(host_os)" = debian ] || return
        release=$(rustc_says release)
        say "next: build them from the library's source, Rust $release, a Debian package"
        fetch_source "$release" || return
    fi
    build_targets "$missing" "$source"
}

rustc_says() {
    rustc --verbose --version | sed -n "s/^$1: //p"
}

# rustup's component, ours of this version, or something the user put there and answers for.
source_ready() {
    [ -e "$1/library/core/src/lib.rs" ] || return
    [ ! -e "$1/petrel-stamp" ] || [ "$(cat "$1/petrel-stamp")" = "$(rustc --version)" ]
}

# fetch_source RELEASE: rust-src is text for every architecture, so any release's package will do.
fetch_source() {
    local suite package
    unset APT_CONFIG
    package=$(source_package "$1")
    for suite in trixie-backports testing unstable; do
        [ -z "$package" ] || break
        step "package lists of $suite, kept apart from this machine's" update_suite "$suite" || continue
        [ ! -e "$work/notice" ] || say "$(cat "$work/notice")"
        package=$(source_package "$1")
    done
    if [ -z "$package" ]; then
        say "no package holds the source of Rust $1"
        return 1
    fi
    step "download and unpack $package" unpack_source "$package"
}

# source_package RELEASE: `name=version` of the package whose upstream version is RELEASE.
source_package() {
    local name
    for name in $(apt-cache pkgnames rust 2>/dev/null | grep -E '^rust(-web|-[0-9.]+)?-src$'); do
        apt-cache madison "$name"
    done | awk -v release="$1" '{ upstream = $3; sub(/^[0-9]+:/, "", upstream); sub(/[-+~].*/, "", upstream)
        if (upstream == release) { print $1 "=" $3; exit } }'
}

# Of the compiler's whole source, the library alone: a sixth of it.
unpack_source() {
    local source="$sysroot/lib/rustlib/src"
    local new="$source/.petrel-new"
    rm -rf "$new" && mkdir -p "$new" && download_only "$1" || return
    dpkg-deb --fsys-tarfile "$work/debs"/*.deb |
        tar -x -C "$new" --no-same-owner --strip-components=4 --wildcards --no-wildcards-match-slash './usr/src/rustc-*/library' || return
    [ -e "$new/library/core/src/lib.rs" ] && rustc --version >"$new/petrel-stamp" &&
        rm -rf "$source/rust" && mv "$new" "$source/rust"
}

# build_targets "TARGET…" SOURCE
build_targets() {
    local target
    step "build ${target_crates// /, } for ${1// / and }" cargo_build_std "$1" "$2" || return
    for target in $1; do
        step "put them into $sysroot/lib/rustlib/$target" install_target "$target" || return
    done
    [ -z "$(missing_targets)" ]
}

# -Zbuild-std is only for the nightly compiler; RUSTC_BOOTSTRAP lifts that for this one build.
# The flags make of it what rustup ships: bitcode, so that the kernel may be built with LTO, and the
# source paths of a release. The names of the toolchain's own cargo and rustc keep rustup out of it.
cargo_build_std() (
    local target chosen=""
    for target in $1; do chosen="$chosen --target $target"; done
    mkdir -p "$work/empty/src" &&
        printf '[package]\nname = "empty"\nedition = "2021"\n[workspace]\n' >"$work/empty/Cargo.toml" &&
        echo '#![no_std]' >"$work/empty/src/lib.rs" &&
        cd "$work/empty" || return
    # shellcheck disable=SC2086 # options
    env -u MAKEFLAGS -u MFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET \
        RUSTC_BOOTSTRAP=1 RUSTC="$sysroot/bin/rustc" CARGO_TARGET_DIR="$work/built" CARGO_INCREMENTAL=0 \
        RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$2=/rustc/$(rustc_says commit-hash)" \
        "$sysroot/bin/cargo" build --release $chosen --config 'profile.release.debug=0' \
        --config "source.crates-io.replace-with='vendored'" --config "source.vendored.directory='$2/library/vendor'" \
        "-Zbuild-std=${target_crates// /,}" -Zbuild-std-features=compiler-builtins-mem
)

# Complete under another name, then moved: what has the right name is whole.
install_target() {
    local rustlib="$sysroot/lib/rustlib" crate
    local new="$rustlib/.petrel-new-$1"
    rm -rf "$new" && mkdir -p "$new/lib" || return
    for crate in $target_crates; do
        cp "$work/built/$1/release/deps/lib$crate"-*.rlib "$new/lib/" || return
    done
    rustc --version >"$new/petrel-stamp" &&
        rm -rf "${rustlib:?}/$1" && mv "$new" "$rustlib/$1" && can_compile "$1"
}

# ---- 3. Debian's own toolchain, beside the sources ----

# Debian's stable releases have a current one under the names of `-web`, made for its browsers;
# else the backports may. Unpacked only: installing it would remove rustup's package.
by_debian() {
    [ "$(host_os)" = debian ] || return
    local backports packages
    backports=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}-backports")
    unset APT_CONFIG
    packages=$(toolchain_packages)
    if [ -z "$packages" ]; then
        step "package lists with $backports, kept apart from this machine's" update_suite "+$backports" || return
        packages=$(toolchain_packages)
    fi
    if [ -z "$packages" ]; then
        say "no package holds a rustc of $(oldest_rust) or newer"
        return 1
    fi
    # shellcheck disable=SC2086 # package names
    unpack_toolchain $packages || return
    # shellcheck source=/dev/null
    . "$tools/env"
    sysroot=$(rustc --print sysroot) || return
    say "this checkout uses $(rustc --version) from $sysroot; for cargo outside make: '. .tools/env'"
    build_targets "$targets" "$sysroot/lib/rustlib/src/rust"
}

toolchain_packages() {
    if at_least "$(candidate rustc-web)" "$(oldest_rust)"; then
        echo rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld
    elif at_least "$(candidate rustc)" "$(oldest_rust)"; then
        echo rustc cargo rust-src rust-clippy rustfmt lld
    fi
}

# candidate PACKAGE: the version apt would install, or 0.
candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p' | grep . || echo 0
}

unpack_toolchain() {
    local new="$tools/rust.new" host
    rm -rf "$new"
    step "download and unpack $* into .tools/rust" unpack_with_needs "$new" "$@" || return
    # Of the compiler's whole source only the library is wanted.
    rm -rf "$new"/usr/src/rustc-*/compiler "$new"/usr/src/rustc-*/src
    host=$(rustc_host)
    # rustc looks here for the linker that rustup's toolchains bring with them.
    mkdir -p "$new/usr/lib/rustlib/$host/bin" &&
        ln -s ../../../../bin/lld "$new/usr/lib/rustlib/$host/bin/rust-lld" &&
        rm -rf "$tools/rust" && mv "$new" "$tools/rust" || return
    cat >"$tools/env" <<-END
	# Written by scripts/setup: Debian's Rust toolchain, unpacked for this checkout alone, because the
	# targets could not be had for the installed one. To go back: remove .tools/env and .tools/rust.
	export PATH="$tools/rust/usr/bin:\$PATH"
	export LD_LIBRARY_PATH="$(library_folders "$tools/rust")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
	END
}

# The triple by which the unpacked toolchain calls this machine.
rustc_host() {
    local folder
    for folder in "$tools/rust.new/usr/lib/rustlib"/*-linux-gnu; do basename "$folder"; done
}
