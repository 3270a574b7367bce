# shellcheck shell=bash
# Devices as the kernel, the bus and ps show them, and devices made by hand through configfs, as a script or another tool
# would make them: nothing checks those before the kernel and the daemon do.
#
# Sourced after lib.sh. Names of devices are letters and digits here, so that their D-Bus paths need no escapes.

# shellcheck source=test/guest/helpers/bus.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

# ---- By hand

# hand_device N NAME SETTING...: makes core/user_N/NAME, gives each SETTING to its control file, prints the directory.
hand_device() {
  local place=$TARGET/core/user_$1/$2 setting
  [ -d /sys/module/target_core_user ] || modprobe target_core_user
  mkdir -p "$place"
  for setting in "${@:3}"; do printf '%s' "$setting" >"$place/control"; done
  printf '%s\n' "$place"
}

# write_errno FILE VALUE: "0", or the name of the errno with which the write was refused. Such a write may hang in the
# kernel, where nothing can end it, so it is left to a child.
write_errno() {
  local answer
  answer=$(mktemp)
  { printf '%s' "$2" >"$1"; } 2>"$answer" && echo "done" >"$answer" &
  wait_until 90 test -s "$answer" || die "a write of $2 to $1 hangs"
  errno_name "$(<"$answer")"
}

# errno_name SAID: of what bash said about a failed write.
errno_name() {
  case ${1##*: } in
    'done') echo 0 ;;
    'No such file or directory') echo ENOENT ;;
    'Invalid argument') echo EINVAL ;;
    'Device or resource busy') echo EBUSY ;;
    'Permission denied') echo EACCES ;;
    'Operation not permitted') echo EPERM ;;
    'Read-only file system') echo EROFS ;;
    'Is a directory') echo EISDIR ;;
    'Not a directory') echo ENOTDIR ;;
    'Invalid cross-device link') echo EXDEV ;;
    'Too many levels of symbolic links') echo ELOOP ;;
    'No such process') echo ESRCH ;;
    'No such device') echo ENODEV ;;
    'Interrupted system call') echo EINTR ;;
    'File too large') echo EFBIG ;;
    *) echo "$1" ;;
  esac
}

# enable_errno DIRECTORY: the outcome of enabling it.
enable_errno() { write_errno "$1/enable" 1; }

# hand_remove DIRECTORY: the device, and its HBA if it was the last.
hand_remove() {
  within 60 rmdir "$1" || die "rmdir $1 failed"
  rmdir "$(dirname "$1")" 2>/dev/null || true
}

# hand_loopback NAME: shows a device to this machine through configfs alone, and prints the disk.
hand_loopback() {
  local tpg=$TARGET/loopback/$LOOPBACK_WWN/tpgt_1 number=0 place address
  modprobe tcm_loop
  place=$(device_of "$1") || die "there is no device $1"
  if [ ! -d "$tpg" ]; then
    mkdir -p "$tpg"
    echo "$LOOPBACK_WWN" >"$tpg/nexus"
  fi
  while [ -d "$tpg/lun/lun_$number" ]; do number=$((number + 1)); done
  mkdir "$tpg/lun/lun_$number"
  ln -s "$place" "$tpg/lun/lun_$number/port"
  address=$(cat "$tpg/address"):$number
  wait_until 60 disk_at "$address" || die "no disk appeared at $address for $1"
  disk_at "$address"
}

# hand_unexport NAME: takes it away again.
hand_unexport() {
  local link
  for link in "$TARGET"/*/*/tpgt_*/lun/lun_*/*; do
    if [ -L "$link" ] && [ "$(basename "$(readlink -f "$link")")" = "$1" ]; then
      rm "$link"
      rmdir "$(dirname "$link")"
    fi
  done
}

# ---- What is known of a device

uio_of() { # uio_of NAME: like uio0; fails if there is none
  local place
  for place in /sys/class/uio/uio*; do
    case $(cat "$place/name" 2>/dev/null) in
      tcm-user/*/"$1"/*) basename "$place" && return 0 ;;
    esac
  done
  return 1
}

# host_pid NAME: of the process that serves it now; fails if there is none.
host_pid() { pgrep -o -f "^tcmu-host: [a-z]+/$1( |\$)"; }
has_host() { host_pid "$1" >/dev/null; }
host_is_not() { [ "$(host_pid "$1")" != "$2" ]; } # has a host, and it is not this one
no_host() { ! host_pid "$1" >/dev/null; }
no_hosts_at_all() { ! pgrep -f '^tcmu-host: ' >/dev/null; }

# writers_of FILE: processes that have it open for writing. The supervisor, and systemd for it, can only ask whether a write
# back failed.
writers_of() {
  local pid fd
  for pid in $(fuser "$1" 2>/dev/null); do
    for fd in /proc/"$pid"/fd/*; do
      if [ "$fd" -ef "$1" ] && grep -qE '^flags:.*[12]$' "/proc/$pid/fdinfo/${fd##*/}"; then echo "$pid" && break; fi
    done
  done | xargs
}

has_object() { busctl --list tree "$BUS_NAME" | grep -qE "^$DEVICES/user_[0-9]+/$1\$"; }
no_object() { ! has_object "$1"; }
property_matches() { property "$1" "$2" | grep -qE -- "$3"; }

# wait_state NAME STATE: until the device is serving, failed, ...
wait_state() {
  wait_until 60 property_is "$1" State "$2" || {
    tcmuctl show "$1" >&2 || true
    die "$1 did not become $2"
  }
}

no_uio() { [ -z "$(compgen -G '/sys/class/uio/uio*')" ]; }

# kill_for_good: the daemon dies without a word, and systemd does not start it again; start_again does. Unlike at a stop, the
# kernel goes on waiting for replies meanwhile.
kill_for_good() {
  local main
  main=$(main_pid)
  systemctl mask --runtime --quiet "$SUPERVISOR"
  kill -9 "$main"
  wait_until 30 no_hosts_at_all
  wait_until 30 supervisor_gone
}
supervisor_gone() { ! pgrep -x tcmu-supervisor >/dev/null; }
start_again() {
  systemctl unmask --runtime --quiet "$SUPERVISOR"
  start_supervisor
}

nothing_kept() { [ "$(systemctl show --value --property=NFileDescriptorStore "$SUPERVISOR")" = 0 ]; }
# expect_nothing_left: no host, no object of a device, no uio device, no control group of a host, no descriptor that systemd keeps.
expect_nothing_left() {
  wait_until 20 no_hosts_at_all || die "hosts are left: $(pgrep -af '^tcmu-host: ')"
  ! busctl --list tree "$BUS_NAME" | grep -E "^$DEVICES/user_" >&2 || die "objects of devices are left on the bus"
  no_uio || die "uio devices are left: $(cat /sys/class/uio/*/name)"
  [ -z "$(find /sys/fs/cgroup/system.slice/tcmu-*.service -name 'host-*' 2>/dev/null)" ] ||
    die "control groups of hosts are left"
  wait_until 10 nothing_kept || die "systemd keeps descriptors: $(systemctl show --property=NFileDescriptorStore "$SUPERVISOR")"
}
