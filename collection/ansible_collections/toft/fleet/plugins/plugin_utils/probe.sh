#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# What a node is and how busy it is, as raw text under @markers. Nothing is
# interpreted here: module_utils/load.py turns the text into values.
#
# It must be cheap enough for a Raspberry Pi that is asked every few seconds, so
# files are read with the shell's own `read`, and on Linux only three programs
# are started: sleep, stat and python3 -V. What was found is kept in variables
# and printed at once, which also makes few packets of it.
#
# plugin_utils/probing.py puts its parameters before this text:
#   root=''        look below another root directory
#   interval=0.2   seconds between the two CPU samples; 0: neither they nor disks are wanted
#   names='…'      commands to look for
#   set -- PATH…   whose disks are wanted
# and takes the comments out. Everything is a function and the last line calls
# the first, so that a text that was cut off in transit does nothing.

# ---- reading -----------------------------------------------------------------

# first FILE: its first line, in $text
first() {
    text=''
    if [ -r "$1" ]; then IFS= read -r text <"$1" || :; fi
}

# lines FILE MOST: its first MOST lines, in $text
lines() {
    text=''
    if [ ! -r "$1" ]; then return; fi
    left=$2
    while [ "$left" -gt 0 ] && { IFS= read -r line || [ -n "$line" ]; }; do
        text="$text$line$newline"
        left=$((left - 1))
    done <"$1"
}

# present FILE…: those that exist, in $text
present() {
    text=''
    for file in "$@"; do
        if [ -e "$file" ]; then text="$text${file#"$root"}$newline"; fi
    done
}

# ---- what every system has ---------------------------------------------------

# A login that runs one command has a short PATH: look also where programs are
# usually put. Windows' directories under WSL are slow, and not this system's.
extend_path() {
    search=''
    IFS=:
    for directory in $PATH; do
        case $directory in /mnt/?/*) ;; *) search="$search:$directory" ;; esac
    done
    unset IFS
    for directory in "$root/usr/local/bin" "$root/opt/homebrew/bin" "$root/home/linuxbrew/.linuxbrew/bin" \
        "$root/opt/local/bin" "$root/usr/sbin" "$root/sbin" "$root/snap/bin" "$root/usr/local/go/bin" \
        "$root/usr/local/cuda/bin" "$root/run/current-system/sw/bin" \
        "$HOME/.local/bin" "$HOME/.cargo/bin" "$HOME/go/bin" "$HOME"/.nvm/versions/node/*/bin \
        "$HOME/.volta/bin" "$HOME/.bun/bin" "$HOME/.nix-profile/bin" "$HOME/.orbstack/bin"; do
        case $search: in *":$directory:"*) continue ;; esac
        if [ -d "$directory" ] && [ ! -h "$directory" ]; then search="$search:$directory"; fi
    done
    PATH=${search#:}
}

find_commands() {
    found=''
    for name in $names; do
        command -v "$name" && found="$found$name "
    done >/dev/null 2>&1
}

# find_python BARRED: the version of the first python3, but not the one in the
# directory BARRED, and a shim of pyenv or asdf (40 ms) only if there is no other.
find_python() {
    python=''
    shim=''
    IFS=:
    for directory in $PATH; do
        if [ ! -x "$directory/python3" ]; then continue; fi
        case $directory in
        "$1") ;;
        */shims) shim=$directory/python3 ;;
        *) python=$directory/python3 && break ;;
        esac
    done
    unset IFS
    python_version "${python:-$shim}"
}

# python_version PROGRAM: mostly it is a link to its neighbour python3.N, whose
# name says enough without being started.
python_version() {
    python=''
    for minor in 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        # shellcheck disable=SC3013 # where there is no -ef, python3 is asked
        if [ "$1" -ef "$1.$minor" ]; then python=3.$minor && return; fi
    done 2>/dev/null
    if [ -n "$1" ]; then python=$("$1" -V 2>/dev/null); fi
}

# A socket that may be written to is a daemon that may be used.
find_docker() {
    case ${DOCKER_HOST-} in unix://*) docker=${DOCKER_HOST#unix://} ;; *) docker='' ;; esac
    for docker in "$docker" "$root/var/run/docker.sock" "${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock" \
        "$HOME/.docker/run/docker.sock" "$HOME/.orbstack/run/docker.sock" "$HOME/.colima/default/docker.sock"; do
        if [ -S "$docker" ] && [ -w "$docker" ]; then return; fi
    done
    docker=''
}

# A running job has a file `live` that holds the id of the boot it runs in.
count_jobs() {
    jobs=0
    for live in "${XDG_STATE_HOME:-$HOME/.local/state}"/toft/jobs/*/live /var/tmp/toft-"$uid"/jobs/*/live; do
        first "$live"
        if [ -n "$text" ] && [ "$text" = "$boot_id" ]; then jobs=$((jobs + 1)); fi
    done
}

report_common() {
    user=${USER:-${LOGNAME:-$(id -un)}}
    # what the probe itself has used
    printf '@times\n'
    times
    printf '%s\n' @python "$python" @commands "$found" @docker "$docker" @jobs "$jobs" \
        @uid "$uid" @user "$user" @home "$HOME" @shell "${SHELL-}" @end
}

# ---- disks -------------------------------------------------------------------

# A directory that is still to be made lies on the disk of its nearest parent.
nearest() {
    parent=$1
    while [ -n "$parent" ] && [ ! -e "$parent" ]; do
        case $parent in */*) parent=${parent%/*} ;; *) parent='' ;; esac
    done
    parent=${parent:-/}
}

# await_disk PID: a dead network mount holds whoever looks at it. Give it 1.5 s
# more and leave it, with a word.
await_disk() {
    tries=0
    while kill -0 "$1" 2>/dev/null; do
        if [ "$tries" -ge 15 ]; then
            kill -9 "$1"
            wait "$1" 2>/dev/null
            printf '@disk_stuck\n'
            return 0
        fi
        sleep 0.1 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    wait "$1"
}

# One by one: for a path that is not there, and where stat is not GNU's.
each_disk() {
    for file in "$@"; do
        nearest "$file"
        printf '@disk_of %s\n' "$file"
        stat -f -c "$disk_format" -- "$parent" || df -P -k -- "$parent"
    done 2>/dev/null
}

# ---- Linux -------------------------------------------------------------------

# The user's number, and the processors that this process may use.
find_status() {
    uid=''
    allowed=''
    if [ ! -r "$root/proc/self/status" ]; then return; fi
    while read -r key value; do
        case $key in
        Uid:) uid=${value%%[!0-9]*} ;;
        Cpus_allowed_list:) allowed=$value && return ;;
        esac
    done <"$root/proc/self/status"
}

# cpu_limit QUOTA PERIOD: `cpu QUOTA PERIOD`, in microseconds
cpu_limit() {
    if [ -n "$1" ]; then limits="${limits}cpu $1 $2$newline"; fi
}

# memory_limit GROUP LIMIT USED KEY: `memory LIMIT USED INACTIVE_FILE`, in bytes
memory_limit() {
    first "$1/$2"
    # none is "max", or in version 1 a number of 19 digits
    case $text in '' | max | ????????????????*) return ;; esac
    limit=$text
    first "$1/$3"
    used=$text
    while read -r key value; do
        if [ "$key" = "$4" ]; then break; fi
    done <"$1/memory.stat"
    limits="${limits}memory $limit $used $value$newline"
}

# limits_of MOUNT GROUP: its limits and those of all groups above it. Inside a
# container the group may be named as on the host, so the root counts as well.
limits_of() {
    group=${2%/}
    while :; do
        first "$1$group/cpu.max"
        cpu_limit "$text" ''
        first "$1$group/cpu.cfs_period_us"
        period=$text
        first "$1$group/cpu.cfs_quota_us"
        cpu_limit "$text" "$period"
        memory_limit "$1$group" memory.max memory.current inactive_file
        memory_limit "$1$group" memory.limit_in_bytes memory.usage_in_bytes total_inactive_file
        case $group in */*) group=${group%/*} ;; *) return ;; esac
    done
}

find_limits() {
    limits=''
    if [ ! -r "$root/proc/self/cgroup" ]; then return; fi
    while IFS=: read -r number controllers group; do
        case $number:,$controllers, in
        0:,,) limits_of "$root/sys/fs/cgroup" "$group" ;;
        *:*,cpu,*) limits_of "$root/sys/fs/cgroup/cpu" "$group" ;;
        *:*,memory,*) limits_of "$root/sys/fs/cgroup/memory" "$group" ;;
        esac
    done <"$root/proc/self/cgroup"
}

find_identity() {
    first "$root/etc/machine-id"
    machine_id=$text
    if [ -z "$machine_id" ]; then first "$root/var/lib/dbus/machine-id" && machine_id=$text; fi
    first "$root/proc/sys/kernel/random/boot_id" && boot_id=$text
    first "$root/proc/sys/kernel/hostname" && hostname=$text
    first "$root/proc/sys/kernel/osrelease" && kernel=$text
    first "$root/proc/sys/kernel/arch"
    arch=${text:-$(uname -m)}
    lines "$root/etc/os-release" 40 && release=$text
    first "$root/run/systemd/container" && container=$text
    present "$root/.dockerenv" "$root/run/.containerenv" "$root/dev/lxd/sock" "$root/proc/vz" "$root/proc/bc" \
        "$root/run/systemd/system" "$root/run/WSL" "$root/var/run/secrets/kubernetes.io" \
        "$root/dev/kfd" "$root/dev/dxg" "$root/dev/nvidiactl" "$root/dev/nvhost-ctrl-gpu" \
        "$root"/proc/driver/nvidia/gpus/* \
        "$root/lib64/ld-linux-x86-64.so.2" "$root/lib/ld-linux.so.2" "$root/lib/ld-linux-aarch64.so.1" \
        "$root/lib/ld-linux-armhf.so.3" "$root/lib/ld-musl-x86_64.so.1" "$root/lib/ld-musl-i386.so.1" \
        "$root/lib/ld-musl-aarch64.so.1" "$root/lib/ld-musl-armhf.so.1"
    marks=$text
}

linux() {
    disk_format='@disk %S %b %f %a %c %d %n'
    first "$root/proc/stat"
    before=$text
    if [ "$interval" != 0 ]; then
        sleep "$interval" 2>/dev/null &
        sleeper=$!
        stat -f -c "$disk_format" -- "$@" 2>/dev/null &
        disks=$!
    fi
    find_status
    find_limits
    find_identity
    count_jobs
    extend_path
    find_commands
    find_docker
    find_python ''
    lines "$root/proc/meminfo" 5 && memory=$text
    first "$root/proc/loadavg" && load=$text
    after=''
    if [ "$interval" != 0 ]; then
        wait "$sleeper" || { interval=1 && sleep 1; }
        first "$root/proc/stat" && after=$text
        await_disk "$disks" || each_disk "$@"
    fi
    first "$root/proc/uptime" && uptime=$text
    printf '%s\n' @system Linux @interval "$interval" @arch "$arch" @kernel "$kernel" @os_release "$release" \
        @cpu "$before" "$after" @allowed "$allowed" @limits "$limits" @meminfo "$memory" @loadavg "$load" \
        @uptime "$uptime" @hostname "$hostname" @machine_id "$machine_id" @boot_id "$boot_id" \
        @container "$container" "${KUBERNETES_SERVICE_HOST:+kubernetes}" @marks "$marks"
    report_common
}

# ---- macOS -------------------------------------------------------------------

# iostat counts whole seconds. Its first line is since boot, its second the interval.
macos() {
    seconds=${interval%%.*}
    if [ "${seconds:-0}" -lt 1 ]; then seconds=1; fi
    if [ "$interval" = 0 ]; then seconds=0; fi
    printf '@system\n%s\n@iostat\n' "$(uname -s)"
    if [ "$seconds" != 0 ]; then
        iostat -n 0 -w "$seconds" -c 2 2>/dev/null &
        sampler=$!
    fi
    # shellcheck disable=SC3028 # /bin/sh is bash there
    uid=${UID-}
    control=$(sysctl kern.hostname kern.bootsessionuuid kern.boottime hw.ncpu hw.memsize vm.loadavg \
        kern.osrelease hw.optional.arm64 2>/dev/null)
    boot_id=${control#*kern.bootsessionuuid: }
    boot_id=${boot_id%%"$newline"*}
    statistics=$(vm_stat 2>/dev/null)
    version=$(sw_vers 2>/dev/null)
    platform=$(ioreg -rd1 -c IOPlatformExpertDevice 2>/dev/null)
    developer=$(xcode-select -p 2>/dev/null)
    now=$(date +%s)
    arch=$(uname -m)
    count_jobs
    extend_path
    find_commands
    find_docker
    # Without the developer tools /usr/bin/python3 opens a window that offers them.
    if [ -n "$developer" ]; then find_python ''; else find_python /usr/bin; fi
    if [ "$seconds" != 0 ]; then wait "$sampler"; fi
    printf '%s\n' @interval "$seconds" @arch "$arch" @sysctl "$control" @vm_stat "$statistics" @sw_vers "$version" \
        @ioreg "$platform" @developer "$developer" @now "$now" @df
    for file in "$@"; do
        printf 'path %s\n' "$file"
        nearest "$file"
        set -- "$@" "$parent"
        shift
    done
    if [ "$seconds" != 0 ]; then
        df -k -i -- "$@" 2>/dev/null &
        await_disk "$!"
    fi
    report_common
}

main() {
    : "${interval:=0.2}" "${names:=}" "${root:=}"
    LC_ALL=C
    export LC_ALL
    newline='
'
    printf '\n@toft-probe 1\n'
    first "$root/proc/sys/kernel/ostype"
    if [ "$text" = Linux ]; then linux "$@"; else macos "$@"; fi
}

main "$@" </dev/null
