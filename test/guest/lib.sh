# shellcheck shell=bash
# What a scenario sources first: verbs for targets, LUNs and daemons, and ways to wait, fail, skip and reboot.
# Runs inside the guest, as root. Nothing here sleeps for luck: every wait is for a condition and has a deadline.
#
# From the driver: $SCENARIO (name), $PHASE ("start", later what reboot_into said), $FILES (directory that is kept with the
# results on the host), $SCENARIO_DIR, $PATIENCE (factor on every deadline), $JOURNAL_CURSOR (where this phase began).
#
# Functions that print a result are meant for disk=$(loopback_lun d0). Declare and assign apart: `local disk=$(...)` hides
# a failure from bash.

set -euo pipefail

readonly TARGET=/sys/kernel/config/target
readonly LOOPBACK_WWN=naa.5001405000000001
readonly ISCSI_PREFIX=iqn.2026-11.org.test
readonly SUPERVISOR=tcmu-supervisor.service
readonly PEER=bulkhead-peer.service
readonly BUS_NAME=org.kernel.TCMUService1

# `guest run --set GUEST_TRACE=on`: every command with the time it began, in files/trace.
if [ -n "${GUEST_TRACE:-}" ]; then
  exec {BASH_XTRACEFD}>>"$FILES/trace"
  PS4='+ $EPOCHREALTIME '
  set -x
fi

# ---- Verdicts

# The first reason given is the one in the results table.
note_reason() { [ -e "$SCENARIO_DIR/reason" ] || printf '%s\n' "$*" >"$SCENARIO_DIR/reason"; }

die() {
  note_reason "$*"
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# In the scenario's own shell only: a subshell could end itself, but not the scenario.
skip() {
  [ "$BASH_SUBSHELL" -eq 0 ] || die "skip was called in a subshell"
  note_reason "$*"
  exit 77
}

say() { printf '%s\n' "$*"; }

on_error() { # on_error STATUS FILE LINE COMMAND
  note_reason "${2##*/}:$3: $4 (status $1)"
  printf 'FAILED: %s line %d: %s (status %d)\n' "${2##*/}" "$3" "$4" "$1" >&2
}
trap 'on_error "$?" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND"' ERR
set -E # in functions and subshells too

expect_eq() { # expect_eq ACTUAL EXPECTED [WHAT]
  [ "$1" = "$2" ] || die "${3:-value}: expected \"$2\", got \"$1\""
}

# record NAME VALUE UNIT: a measurement for results.json.
record() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$SCENARIO_DIR/measurements"; }

# ---- Waiting

# deadline SECONDS: these seconds on a machine as slow as this one.
deadline() { awk -v s="$1" -v p="${PATIENCE:-1}" 'BEGIN { printf "%d", s * p + 0.5 }'; }

# within SECONDS COMMAND...: runs a program, killed when it takes longer (status 124).
within() { timeout --kill-after=10 "$(deadline "$1")" "${@:2}"; }

# wait_until SECONDS COMMAND...: polls until the command (a function will do) succeeds. Returns 1 with a message at the
# deadline, so that a plain call ends the scenario. The command's output is dropped; it must not call die.
wait_until() {
  happens "$@" && return
  local seconds
  seconds=$(deadline "$1")
  shift
  note_reason "waited $seconds s in vain for: $*"
  printf 'waited %d s in vain for: %s\n' "$seconds" "$*" >&2
  return 1
}

# happens SECONDS CONDITION...: like wait_until, but it is no failure if it does not.
happens() {
  local ends=$((SECONDS + $(deadline "$1")))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$ends" ] || return 1
    sleep 0.05
  done
}

# ---- Reboots: the scenario is started again from the top with PHASE set to what it asked for.

reboot_prepare() {
  [ "$BASH_SUBSHELL" -eq 0 ] || die "a reboot was asked for in a subshell"
  # Whole or not at all: a crash comes right behind it.
  printf '%s\n' "$1" >"$SCENARIO_DIR/next-phase.new"
  mv "$SCENARIO_DIR/next-phase.new" "$SCENARIO_DIR/next-phase"
}

# reboot_into PHASE: a clean `systemctl reboot`, with services stopped and file systems unmounted.
reboot_into() {
  reboot_prepare "$1"
  exit 194
}

# crash_into PHASE: the machine is reset at once. What was not flushed is lost, as at a power cut.
crash_into() {
  reboot_prepare "$1"
  echo b >/proc/sysrq-trigger
  sleep 60
  die "the machine did not reset"
}

# ---- Journal

# journal_has PATTERN: whether a message since the phase began matches the extended regular expression.
journal_has() {
  # Counted and not -q, which would end journalctl with SIGPIPE and so, under pipefail, fail.
  [ "$(journalctl -q --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" | grep -cE -- "$1")" -gt 0 ]
}

# unit_journal UNIT: its messages since the phase began.
unit_journal() { journalctl -q --no-pager -o short-monotonic --after-cursor="$JOURNAL_CURSOR" -u "$1"; }

# ---- Daemons

bus_name_owned() { busctl --quiet call org.freedesktop.DBus / org.freedesktop.DBus GetNameOwner s "$BUS_NAME"; }

show_unit() {
  systemctl --no-pager --full status "$1" >&2 || true
  unit_journal "$1" | tail -n 40 >&2
}

start_supervisor() {
  systemctl cat "$SUPERVISOR" >/dev/null 2>&1 || die "there is no $SUPERVISOR in the guest: give the run --install DIR"
  if ! within 180 systemctl start "$SUPERVISOR" || ! wait_until 60 bus_name_owned; then
    show_unit "$SUPERVISOR"
    die "$SUPERVISOR does not start"
  fi
}

stop_supervisor() {
  within 180 systemctl stop "$SUPERVISOR" || {
    show_unit "$SUPERVISOR"
    die "$SUPERVISOR does not stop"
  }
}

# start_peer_runner [HANDLER...]: Debian's tcmu-runner as installed by `# peer: tcmu-runner`, with these handlers (default:
# qcow file_optical file_zbc). Our supervisor must not be running: both want the bus name.
start_peer_runner() {
  local home=/opt/tcmu-runner handlers=/run/peer-handlers name
  [ -x "$home/usr/bin/tcmu-runner" ] || die "tcmu-runner is not in this guest: the scenario needs the line '# peer: tcmu-runner'"
  ! systemctl is-active --quiet "$SUPERVISOR" || die "stop_supervisor first: both daemons want the same bus name"
  rm -rf "$handlers"
  mkdir -p "$handlers" /etc/tcmu /var/log/peer
  [ $# -gt 0 ] || set -- qcow file_optical file_zbc
  for name; do ln -s "$home/usr/lib/x86_64-linux-gnu/tcmu-runner/handler_$name.so" "$handlers/"; done
  [ -e /etc/tcmu/tcmu.conf ] || : >/etc/tcmu/tcmu.conf
  cp "$home/etc/dbus-1/system.d/tcmu-runner.conf" /etc/dbus-1/system.d/peer-tcmu-runner.conf
  busctl --quiet call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig
  # Without BusName=: systemd refuses a second unit with a name that the supervisor's has, once it has loaded that.
  within 120 systemd-run --quiet --collect --unit="$PEER" --property=Type=exec \
    --property=LimitNOFILE=1000000 --setenv=LD_LIBRARY_PATH="$home/usr/lib/x86_64-linux-gnu" \
    "$home/usr/bin/tcmu-runner" --handler-path "$handlers" --tcmu-log-dir /var/log/peer &&
    wait_until 60 bus_name_owned || {
    show_unit "$PEER"
    die "tcmu-runner does not start"
  }
}

stop_peer_runner() {
  within 180 systemctl stop "$PEER" || die "tcmu-runner does not stop"
  rm -f /etc/dbus-1/system.d/peer-tcmu-runner.conf
  busctl --quiet call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig
}

# ---- LUNs

make_backing() { # make_backing PATH SIZE: a sparse file
  mkdir -p "$(dirname "$1")"
  truncate -s "$2" "$1"
}

# device_of NAME: the configfs directory of a storage object of any kind; fails if there is none.
device_of() {
  local place
  for place in "$TARGET"/core/*/"$1"; do
    if [ -d "$place" ]; then
      printf '%s\n' "$place"
      return 0
    fi
  done
  return 1
}

device_enabled() {
  local place
  place=$(device_of "$1") && [ "$(cat "$place/enable")" = 1 ]
}

# targetcli_run ARGUMENT...: unmodified targetcli, its output in the log. Its modules are loaded already, which saves half of
# five seconds: inside/targetcli_server.py.
targetcli_run() {
  within 180 python3 -I -S /usr/lib/bulkhead-guest/targetcli_call.py "$@" >&2 || die "targetcli $* failed"
}

create_lun() { # create_lun SUBTYPE NAME SIZE CFG: a TCMU device, by targetcli
  targetcli_run "/backstores/user:$1" create name="$2" size="$3" cfgstring="$4"
  # targetcli's status is no proof: some of its failures are only printed.
  device_enabled "$2" || die "targetcli created no device user:$1 $2"
}

# backstore_of NAME: what targetcli calls a storage object.
backstore_of() {
  local place hba
  place=$(device_of "$1") || die "there is no storage object $1"
  hba=$(basename "$(dirname "$place")")
  case ${hba%_*} in
    user) printf '/backstores/user:%s/%s\n' "$(sed -n 's|.*Config: \([^/]*\)/.*|\1|p' "$place/info")" "$1" ;;
    fileio) printf '/backstores/fileio/%s\n' "$1" ;;
    iblock) printf '/backstores/block/%s\n' "$1" ;;
    rd_mcp) printf '/backstores/ramdisk/%s\n' "$1" ;;
    *) die "storage object $1 is of an unknown kind: $hba" ;;
  esac
}

# lun_number TPG NAME: under which number a portal group shows that storage object; fails if it does not.
lun_number() {
  local link
  for link in "$1"/lun/lun_*/*; do
    if [ -L "$link" ] && [ "$(basename "$(readlink -f "$link")")" = "$2" ]; then
      link=$(basename "$(dirname "$link")")
      printf '%s\n' "${link#lun_}"
      return 0
    fi
  done
  return 1
}

# disk_at H:C:T:L: the block device of a SCSI address, once it can be opened.
disk_at() {
  local place
  for place in /sys/bus/scsi/devices/"$1"/block/sd*; do
    if [ -d "$place" ] && [ -b "/dev/${place##*/}" ]; then
      printf '/dev/%s\n' "${place##*/}"
      return 0
    fi
  done
  return 1
}

# loopback_lun NAME: shows the storage object to this machine and prints the disk that appeared, like /dev/sda.
loopback_lun() {
  local tpg=$TARGET/loopback/$LOOPBACK_WWN/tpgt_1 backstore lun address
  [ -d "$tpg" ] || targetcli_run /loopback create "$LOOPBACK_WWN"
  if ! lun=$(lun_number "$tpg" "$1"); then
    backstore=$(backstore_of "$1")
    targetcli_run "/loopback/$LOOPBACK_WWN/luns" create "$backstore"
    lun=$(lun_number "$tpg" "$1") || die "targetcli mapped no LUN for $1"
  fi
  # The fabric tells which SCSI host and target it is, so there is nothing to guess from names or sizes.
  address=$(cat "$tpg/address"):$lun
  wait_until 60 disk_at "$address" || die "no disk appeared at $address for $1"
  disk_at "$address"
}

# iscsi_export NAME: exports the storage object by iSCSI on 127.0.0.1 to whoever asks, and prints its libiscsi address.
iscsi_export() {
  local iqn=$ISCSI_PREFIX:$1 backstore lun
  ip link set lo up
  backstore=$(backstore_of "$1")
  targetcli_run /iscsi create "$iqn"
  targetcli_run "/iscsi/$iqn/tpg1/luns" create "$backstore"
  targetcli_run "/iscsi/$iqn/tpg1" set attribute generate_node_acls=1 demo_mode_write_protect=0 authentication=0
  lun=$(lun_number "$TARGET/iscsi/$iqn/tpgt_1" "$1") || die "targetcli mapped no LUN for $1"
  printf 'iscsi://127.0.0.1:3260/%s/%s\n' "$iqn" "$lun"
}

# delete_lun NAME: the storage object and what exports it, by targetcli.
delete_lun() {
  local backstore
  backstore=$(backstore_of "$1")
  targetcli_run "${backstore%/*}" delete "$1"
  ! device_of "$1" >/dev/null || die "targetcli did not delete $1"
}

# clear_targets: everything targetcli knows, at once; needs the daemon to be alive if there are TCMU devices.
clear_targets() { within 180 targetctl clear || die "targets could not be cleared"; }
