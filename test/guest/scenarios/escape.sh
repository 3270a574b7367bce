#!/usr/bin/env bash
# Somebody has taken over a host and tries to get out of it, in every way we know (test/escape): each attempt is stopped, and by
# which walls; each of these stops it alone, and with none it succeeds, so that it is the wall and not a mistake of the attempt.
# timeout: 600
# boot: own
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly LIB=/usr/lib/tcmu-bulkhead WORK=/scratch/escape PORT=7777
readonly HOLES=/etc/tcmu-escape DROP_IN=/run/systemd/system/tcmu-supervisor.service.d/escape.conf
readonly RESULTS=$FILES/results.json TARGETS=/run/escape-targets
readonly WALLS="user capabilities no-new-privileges user-namespace mount-namespace ipc-namespace uts-namespace cgroup-namespace
network-namespace root landlock seccomp dumpable limits ring"

escape() { python3 /usr/lib/bulkhead-guest/helpers/escape.py "$@"; }

# first_address PID: where something is mapped.
first_address() { printf '%d\n' "0x$(head -n 1 "/proc/$1/maps" | cut -d- -f1)"; }

prepare() { # what there is to be attacked
  local module
  mkdir -p "$WORK" /usr/local/escape
  echo secret >"$WORK/secret"
  chmod 600 "$WORK/secret"
  cp /usr/bin/cat /usr/local/escape/cat
  chmod 4755 /usr/local/escape/cat
  dd if=/dev/zero of="$WORK/swap" bs=64k count=4 status=none
  chmod 600 "$WORK/swap"
  mkswap "$WORK/swap" >/dev/null
  : >"$WORK/account"
  module=$(modinfo -n dummy)
  case $module in
    # There is no xz in the guest.
    *.xz) python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$module" >"$WORK/dummy.ko" ;;
    *) cp "$module" "$WORK/dummy.ko" ;;
  esac
  # Else the attempt to use them would load them, which takes long.
  for module in af_alg bluetooth can can_raw kcm vsock; do modprobe "$module"; done
  ip link set lo up
  escape listen "$PORT" >/run/escape-listens &
  wait_until 30 grep -q listening /run/escape-listens
  shared_memory=$(ipcmk -M 4096 -p 0666 | grep -oE '[0-9]+$')
}

tell_targets() {
  local main host
  main=$(main_pid)
  host=$(host_pid other)
  cat >"$TARGETS" <<END
supervisor $main
supervisor_address $(first_address "$main")
sibling $host
sibling_address $(first_address "$host")
sibling_uid $(awk '/^Uid:/ { print $2 }' "/proc/$host/status")
secret $WORK/secret
folder $WORK
other_image /scratch/other.raw
other_bytes $(stat -c %s /scratch/other.raw)
disk $(findmnt -no SOURCE /scratch)
uio /dev/$(uio_of other)
configfs /sys/kernel/config/target/core
account $WORK/account
swap $WORK/swap
mount_point /mnt
module $WORK/dummy.ko
set_user_id_cat /usr/local/escape/cat
shared_memory $shared_memory
port $PORT
END
}

# stand WALL...: these walls, and no other. The PID namespace is the supervisor's, made unless the kernel has none left.
stand() {
  local wall left_out=''
  for wall in $WALLS; do [[ " $* " == *" $wall "* ]] || left_out+=" $wall"; done
  echo "$left_out" >"$HOLES"
  if [[ " $* " == *" pid-namespace "* ]]; then
    echo "$namespaces" >/proc/sys/user/max_pid_namespaces
  else
    echo 0 >/proc/sys/user/max_pid_namespaces
  fi
}

unit_without_walls() {
  mkdir -p "${DROP_IN%/*}"
  cat >"$DROP_IN" <<'END'
[Service]
NoNewPrivileges=no
LockPersonality=no
MemoryDenyWriteExecute=no
ProtectHostname=no
RestrictRealtime=no
RestrictAddressFamilies=
KeyringMode=inherit
SystemCallArchitectures=
SystemCallFilter=
CapabilityBoundingSet=~
END
  # What the supervisor gives up by itself its hosts lack as well.
  mv /usr/bin/tcmu-supervisor "$WORK/tcmu-supervisor.shipped"
  cp "$LIB/tcmu-supervisor-with-holes" /usr/bin/tcmu-supervisor
  systemctl daemon-reload
  within 120 systemctl restart "$SUPERVISOR"
  wait_until 60 bus_name_owned
  wait_state other serving
  tell_targets
}

round() {
  escape round "$1" "$TARGETS" "$RESULTS" || die "round $1 failed"
  if [ -d /sys/module/dummy ]; then rmmod dummy; fi
}

another_host() { # another_host: for the LUN, as the program and the configuration are now
  local before
  before=$(host_pid escaper)
  kill -KILL "$before"
  wait_until 60 host_is_not escaper "$before"
  wait_state escaper serving
}

order() { # order "ATTEMPT...": in the host of a LUN
  { echo "run $1" && cat "$TARGETS"; } >"$WORK/lun-orders"
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 1000)" 00 00 01 00)" good "the read that starts $1"
}
told() { # told NAME "ATTEMPT...": what became of it, as NAME
  wait_state escaper serving
  escape lun "$1" "$2" "$WORK/lun-orders" "$(property escaper LastExit)" "$RESULTS" || die "nothing is known of $2"
}
# by_lun NAME "ATTEMPT...": a LUN's host has what hosts of checks have not: a control group of its own, a channel, and an
# io_uring that was made when its file was opened.
by_lun() {
  order "$2"
  told "$1" "$2"
}

# alone WALL...: all attempts, with these walls alone.
alone() {
  stand "$@"
  round "${NAME:-$1}"
}

namespaces=$(cat /proc/sys/user/max_pid_namespaces)
rm -f "$RESULTS"
mkdir -p /etc/tcmu
printf '%s\n' 'host_memory_mebibytes = 96' 'host_processes = 32' >"$CONF"
prepare
start_supervisor
make_backing /scratch/other.raw 16M
create_lun file other 16M /scratch/other.raw
: >"$WORK/lun-orders"
create_lun escape escaper 16M "$WORK/lun-orders"
disk=$(loopback_lun escaper)
# The kernel's own unit attention.
scsi_sense "$disk" -r 512 28 00 "$(lba10 1)" 00 00 01 00 >/dev/null
tell_targets

say "== the program as it is installed"
escape shipped "$TARGETS" "$RESULTS" || die "the attempts could not be made"
by_lun in-a-lun make_process
property_matches escaper LastExit '^killed by SIGSYS' || die "LastExit is: $(property escaper LastExit)"
by_lun memory-limit much_memory
mapfile -t by_ring < <(escape of-ring "$RESULTS")
for attempts in "${by_ring[@]}"; do by_lun shipped "$attempts"; done
for attempt in write_requests unprotect_requests shrink_channel; do by_lun channel "$attempt"; done
for attempt in give_socket give_file give_many; do
  restarts=$(property escaper Restarts)
  order "$attempt"
  wait_until 60 property_over escaper Restarts "$restarts"
  told supervisor "$attempt"
done

say "== walls left out"
# Which stays so until the end of this boot.
mv "$LIB/tcmu-handler-host" "$LIB/tcmu-handler-host.shipped"
cp "$LIB/tcmu-handler-host-with-holes" "$LIB/tcmu-handler-host"
NAME=all-but-seccomp alone user capabilities no-new-privileges user-namespace pid-namespace mount-namespace ipc-namespace \
  uts-namespace cgroup-namespace network-namespace root landlock dumpable limits ring
another_host
by_lun process-limit many_processes
configure 'host_memory_mebibytes = 0' 'host_processes = 0'
another_host
by_lun no-limits many_processes
by_lun no-limits much_memory
NAME=unit alone none
unit_without_walls
NAME=none alone none
alone user
alone capabilities
alone user-namespace
alone pid-namespace
NAME=root alone mount-namespace root
NAME=landlock alone no-new-privileges landlock
alone network-namespace
alone ipc-namespace
alone uts-namespace
alone limits
alone ring
NAME=user+no-new-privileges alone user no-new-privileges
NAME=user+dumpable alone user dumpable

escape verdict "$RESULTS" "$FILES/attempts.txt" || die "walls are not as test/escape says"
