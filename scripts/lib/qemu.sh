# shellcheck shell=bash disable=SC2154 # common.sh and steps.sh come first
# QEMU's AArch64 machine. Sourced by scripts/setup.

qemu_packages="qemu-system-arm qemu-system-common qemu-system-data"

# Asking a QEMU for its version takes longer than all the rest: the answer is kept.
qemu_ready() {
    local qemu checked="$tools/qemu-checked"
    qemu=$(find_qemu) || return
    if [ -n "${PETREL_SETUP_ROOTLESS:-}${PETREL_QEMU:-}" ]; then
        [ -n "${PETREL_QEMU:-}" ] || [ "$qemu" = "$(private_qemu)" ]
        return
    fi
    [ "$checked" -nt "$qemu" ] && [ "$(cat "$checked")" = "$qemu" ] && return
    at_least "$(qemu_version "$qemu")" "$oldest_qemu" && mkdir -p "$tools" && echo "$qemu" >"$checked"
}

private_qemu() { echo "$tools/qemu/usr/bin/qemu-system-aarch64"; }

provide_qemu() {
    local qemu
    if [ -n "${PETREL_QEMU:-}" ]; then
        give_up "PETREL_QEMU names '$PETREL_QEMU', which is not there."
    elif [ -z "${PETREL_SETUP_ROOTLESS:-}" ] && qemu=$(find_qemu); then
        give_up "$qemu is QEMU $(qemu_version "$qemu"); $oldest_qemu or newer is needed." \
            "Install a newer one and name it in PETREL_QEMU, or put it first on the PATH."
    fi
    case "$(host_os)" in
    debian) qemu_of_debian && qemu_ready && return ;;
    macos) command -v brew >/dev/null && step "brew install qemu" brew install qemu && qemu_ready && return ;;
    esac
    give_up "QEMU for AArch64 is missing. To install it: $(qemu_advice)"
}

qemu_advice() {
    case "$(host_os)" in
    debian) echo "sudo apt-get install --no-install-recommends qemu-system-arm" ;;
    fedora) echo "sudo dnf install qemu-system-aarch64-core" ;;
    macos) echo "brew install qemu" ;;
    *) echo "your distribution's package with qemu-system-aarch64 (or set PETREL_QEMU)" ;;
    esac
}

qemu_of_debian() {
    unset APT_CONFIG
    if is_root; then
        step "apt-get install qemu-system-arm" apt_install qemu-system-arm && return
    fi
    say "next: QEMU in .tools/qemu, which needs no root"
    # shellcheck disable=SC2086 # package names
    step "download and unpack $qemu_packages" unpack_qemu && return
    step "package lists, kept apart from this machine's" update_own &&
        step "download and unpack $qemu_packages" unpack_qemu
}

# The name is a script that tells the program where its libraries are; QEMU finds its data by
# its own path.
unpack_qemu() {
    local new="$tools/qemu.new" name=qemu-system-aarch64
    rm -rf "$new"
    # shellcheck disable=SC2086 # package names
    unpack_with_needs "$new" $qemu_packages || return
    mv "$new/usr/bin/$name" "$new/usr/bin/$name.real" || return
    cat >"$new/usr/bin/$name" <<-END
	#!/bin/sh
	# Written by scripts/setup.
	LD_LIBRARY_PATH="$(library_folders "$new" | sed "s|$new|$tools/qemu|g")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" \\
	    exec "$tools/qemu/usr/bin/$name.real" "\$@"
	END
    chmod +x "$new/usr/bin/$name"
    rm -rf "$tools/qemu" && mv "$new" "$tools/qemu" && "$(private_qemu)" --version
}
