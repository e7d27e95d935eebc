# shellcheck shell=bash disable=SC2154 # $work is scripts/setup's
# Debian's and Ubuntu's packages: installed, or merely unpacked. Sourced by scripts/setup.
#
# What is only unpacked goes through an apt of our own: own lists, cache and sources in a temporary
# folder. The machine's apt is read (mirrors, proxy, keys) and not changed. No mirror is named here:
# it is always the machine's own, so a class-room's local mirror serves as well.

# ---- Installing, as root ----

apt_install() {
    local get="as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"
    local install="$get install --yes --no-install-recommends"
    # The first may fail because the lists are missing, or older than the mirror's pool.
    # shellcheck disable=SC2086 # two words lists
    $install "$@" || { $get update && $install "$@"; }
}

# ---- Looking and unpacking, as anybody ----

# own_apt [SUITE [KEYS]]: from here on, apt commands use a private state that knows the machine's
# sources (or, with SUITE, that suite of the machine's mirror alone; `+SUITE` means both).
own_apt() {
    local state="$work/apt" suite="${1:-}" keys="${2:-}"
    unset APT_CONFIG
    rm -rf "$state"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/sources" "$state/none" || return
    {
        # Proxies, time-outs and the like; no hooks.
        apt-config dump | grep -E '^(Acquire|APT::Architecture)'
        echo "Dir::Etc::Main \"/dev/null\";"
        echo "Dir::Etc::Parts \"$state/none\";"
        echo "Dir::Etc::SourceList \"/dev/null\";"
        echo "Dir::Etc::SourceParts \"$state/sources\";"
        echo "Dir::State::Lists \"$state/lists\";"
        echo "Dir::Cache \"$state/cache\";"
        # apt's helper user could not enter the temporary folder.
        echo "APT::Sandbox::User \"\";"
    } >"$state/apt.conf"
    case "$suite" in
    "" | +*)
        cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources "$state/sources/" 2>/dev/null
        cp /etc/apt/sources.list "$state/sources/machine.list" 2>/dev/null
        ;;
    esac
    if [ -n "$suite" ]; then
        local mirror
        mirror=$(debian_mirror)
        [ -n "$mirror" ] || { echo "this machine's apt has no Debian mirror" && return 1; }
        echo "deb ${keys:+[$keys]} $mirror ${suite#+} main" >"$state/sources/suite.list"
        # Backports are taken only when asked for.
        echo "APT::Default-Release \"${suite#+}\";" >>"$state/apt.conf"
    fi
    export APT_CONFIG="$state/apt.conf"
}

# The base address of the machine's own mirror for the Debian release it runs.
debian_mirror() (
    unset APT_CONFIG
    # shellcheck source=/dev/null
    . /etc/os-release
    [ "$ID" = debian ] || return 1
    # shellcheck disable=SC2016 # apt's own $(…)
    apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^${VERSION_CODENAME:-unknown} //p" | grep -v '^cdrom' | head -n 1
)

# update_own: the lists of the machine's sources. One source that fails does not hurt the others.
update_own() {
    own_apt && { apt-get update || true; }
}

# update_suite [+]SUITE: the lists of that suite, its signature checked: by the machine's keys or,
# where those are older than the suite, by the keys in the machine's own newest (verified) keyring
# package. Unchecked it is taken only by somebody who asked for that, and it is said again.
update_suite() {
    local keys output
    rm -f "$work/notice"
    for keys in machine package unchecked; do
        case "$keys" in
        machine) own_apt "$1" "$(keyring_below /)" || return ;;
        package)
            fetch_keyring || continue
            own_apt "$1" "$(keyring_below "$work/keyring")" || return
            ;;
        unchecked)
            if [ -z "${PETREL_SETUP_UNCHECKED:-}" ]; then
                echo "No key for $1 could be had. PETREL_SETUP_UNCHECKED=1 takes it without checking its signature." | tee "$work/notice"
                return 1
            fi
            own_apt "$1" trusted=yes || return
            echo "As asked, the signature of $1 is NOT checked." | tee "$work/notice"
            ;;
        esac
        output=$(apt-get update 2>&1)
        echo "$output"
        set -- "$1" "$work/apt/lists"/*_dists_"${1#+}"_*Packages*
        [ ! -e "$2" ] || return 0
        # Other keys help where one is missing; not against a bad signature or a missing network.
        case "$output" in
        *NO_PUBKEY* | *"Missing key"*) ;;
        *) return 1 ;;
        esac
    done
    return 1
}

# The apt option that names Debian's keyring: Debian 13 calls the file .pgp. Nothing when there is none.
keyring_below() {
    local file
    for file in "${1%/}/usr/share/keyrings/debian-archive-keyring".{pgp,gpg}; do
        if [ -r "$file" ]; then
            echo "signed-by=$file"
            return
        fi
    done
}

fetch_keyring() {
    update_own && unpack_only "$work/keyring" debian-archive-keyring && [ -n "$(keyring_below "$work/keyring")" ]
}

# download_only PACKAGE[=VERSION]…: their files, and no others, in $work/debs.
download_only() {
    rm -rf "$work/debs"
    mkdir -p "$work/debs" && (cd "$work/debs" && apt-get download "$@")
}

# unpack_only FOLDER PACKAGE[=VERSION]…: nothing is installed, no script of a package runs.
unpack_only() {
    local into="$1" deb
    shift
    mkdir -p "$into" && download_only "$@" || return
    for deb in "$work/debs"/*.deb; do
        dpkg-deb -x "$deb" "$into" || return
    done
}

# unpack_with_needs FOLDER PACKAGE…: with the libraries that are not installed here.
unpack_with_needs() {
    local into="$1" plan
    shift
    plan=$(apt-get --simulate --no-install-recommends install "$@") || return
    # shellcheck disable=SC2046 # package names
    unpack_only "$into" $({ printf '%s\n' "$@" && sed -n 's/^Inst \([^ ]*\) .*/\1/p' <<<"$plan"; } | sort -u)
}

# library_folders BELOW: where unpacked libraries lie, as a search path.
library_folders() {
    local folder path=""
    for folder in "$1"/usr/lib/*-linux-gnu* "$1"/lib/*-linux-gnu*; do
        [ ! -d "$folder" ] || path="${path:+$path:}$folder"
    done
    echo "$path"
}
