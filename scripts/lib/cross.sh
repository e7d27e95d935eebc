# shellcheck shell=bash disable=SC2154 # common.sh and steps.sh come first
# The C compiler for AArch64. Only tests want it, those of programs in C, and without it they are left
# out: so it is fetched for `make test`, and no failure here stops anything. Sourced by scripts/setup.

# What was tried in vain is not tried before each test again; `scripts/setup --test` by hand does.
cross_tried="$tools/cross-tried"

private_cross() { echo "$tools/cross/usr/bin/aarch64-linux-gnu-gcc"; }

cross_ready() {
    local cross
    cross=$(find_cross) || return
    [ -z "${PETREL_SETUP_ROOTLESS:-}" ] || [ "$cross" = "$(private_cross)" ]
}

provide_cross() {
    case "$(host_os)" in
    debian) cross_of_debian && cross_ready && return ;;
    macos) command -v brew >/dev/null && step "brew install aarch64-elf-gcc" brew install aarch64-elf-gcc && cross_ready && return ;;
    esac
    say "without a C compiler for AArch64 the tests of programs in C are left out (scripts/doctor says how to get one)"
    : >"$cross_tried"
}

cross_of_debian() {
    unset APT_CONFIG
    if is_root; then
        step "apt-get install gcc-aarch64-linux-gnu" apt_install gcc-aarch64-linux-gnu && return
    fi
    say "next: the C compiler in .tools/cross, which needs no root"
    step "download and unpack gcc-aarch64-linux-gnu" unpack_cross && return
    step "package lists, kept apart from this machine's" update_own &&
        step "download and unpack gcc-aarch64-linux-gnu" unpack_cross
}

# gcc finds its parts by its own path, and they find their libraries by the script that stands for it.
unpack_cross() {
    local new="$tools/cross.new" name=aarch64-linux-gnu-gcc real
    rm -rf "$new"
    unpack_with_needs "$new" gcc-aarch64-linux-gnu || return
    real=$(readlink "$new/usr/bin/$name") || return
    rm "$new/usr/bin/$name" || return
    cat >"$new/usr/bin/$name" <<-END
	#!/bin/sh
	# Written by scripts/setup.
	LD_LIBRARY_PATH="$(library_folders "$new" | sed "s|$new|$tools/cross|g")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" \\
	    exec "$tools/cross/usr/bin/$real" "\$@"
	END
    chmod +x "$new/usr/bin/$name"
    rm -rf "$tools/cross" && mv "$new" "$tools/cross" && can_compile_c "$(private_cross)"
}

# can_compile_c COMPILER: the proof, down to a linked program.
can_compile_c() {
    local folder status=0
    folder=$(mktemp -d) || return
    echo '#include <stdint.h>
uint64_t _start(void) { return 0; }' >"$folder/probe.c"
    "$1" -ffreestanding -nostdlib -static -o "$folder/probe" "$folder/probe.c" || status=1
    rm -rf "$folder"
    return "$status"
}
