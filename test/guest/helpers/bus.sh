# shellcheck shell=bash
# Verbs for scenarios about the message bus. Sourced after lib.sh.

readonly HANDLERS=/org/kernel/TCMUService1   # what clients of tcmu-runner know
readonly DEVICES=/org/kernel/TCMUDevices1    # the operators' view
readonly DEVICE_INTERFACE=org.kernel.TCMUService1.Device1

# contains [GREP-OPTION...] PATTERN: whether standard input does. Reads all of it: grep -q would end the writer with SIGPIPE.
contains() { grep "$@" >/dev/null; }

# bus_call ARGUMENT...: `busctl call` with patience.
bus_call() { busctl --timeout="$(deadline 60)" call "$@"; }

# bus_daemon MEMBER ARGUMENT...: a call of the bus daemon itself.
bus_daemon() { bus_call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus "$@"; }

name_owner_pid() { bus_daemon GetConnectionUnixProcessID s "${1:-$BUS_NAME}" | cut -d' ' -f2; }
main_pid() { systemctl show --value --property=MainPID "$SUPERVISOR"; }

# handler_objects: the paths that clients of tcmu-runner see.
handler_objects() {
  busctl --json=short call "$BUS_NAME" "$HANDLERS" org.freedesktop.DBus.ObjectManager GetManagedObjects |
    jq -r '.data[0] | keys[]'
}
handler_shown() { handler_objects | contains -x "$HANDLERS/$1"; }

# What `busctl --json=short` said, without the type: text and numbers as they are, the rest as compact JSON. Emulated, jq
# takes half a second to start: only what is escaped is left to it.
data_of() { # data_of SAID
  local said=$1
  [[ $said =~ ^\{\"type\":\"[^\"]*\",\"data\":(.*)\}$ ]] || return 1
  said=${BASH_REMATCH[1]}
  case $said in
    \"*\\*) jq -r . <<<"$said" ;;
    \"*) said=${said#\"} && printf '%s\n' "${said%\"}" ;;
    *) printf '%s\n' "$said" ;;
  esac
}

# check_config SUBTYPE/CONFIG: the verdict, as [true,"success"].
check_config() {
  local said
  said=$(busctl --timeout="$(deadline 60)" --json=short call "$BUS_NAME" "$HANDLERS/${1%%/*}" "$BUS_NAME" CheckConfig s "$1")
  data_of "$said"
}

# device_object NAME: the path of a device whose name needs no escaping.
device_object() {
  local place
  place=$(device_of "$1") || die "there is no storage object $1"
  place=${place%/*}
  printf '%s/%s/%s\n' "$DEVICES" "${place##*/}" "$1"
}

# property NAME PROPERTY: of a device, without its type; a dictionary as compact JSON.
property() {
  local object said
  object=$(device_object "$1")
  said=$(busctl --json=short get-property "$BUS_NAME" "$object" "$DEVICE_INTERFACE" "$2")
  data_of "$said"
}
property_is() { [ "$(property "$1" "$2")" = "$3" ]; }
property_over() { [ "$(property "$1" "$2")" -gt "$3" ]; }

# answered NAME: commands of every kind.
answered() { property "$1" Commands | jq add; }
answered_over() { [ "$(answered "$1")" -gt "$2" ]; }

# as_nobody COMMAND...: without any privilege.
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; }

# refused COMMAND...: it must fail; prints what it said.
refused() {
  local said
  if said=$("$@" 2>&1); then die "not refused: $*: $said"; fi
  printf '%s\n' "$said"
}

# refused_as PATTERN COMMAND...: it must fail and say so.
refused_as() {
  local pattern=$1 said
  shift
  said=$(refused "$@")
  [[ $said =~ $pattern ]] || die "\"$*\" said \"$said\", expected /$pattern/"
}

# status_of COMMAND...: its exit status; its output goes to the log.
status_of() {
  local status=0
  "$@" >&2 || status=$?
  printf '%d\n' "$status"
}

# start_load NAME DISK: verified random I/O on it until stop_load NAME, which fails if any of it failed. It yields the
# processors to all else: what looks at it would wait for them.
start_load() {
  rm -f "/run/stop-load-$1"
  nice -n 19 fio --name="$1" --filename="$2" --rw=randrw --rwmixread=50 --bs=4k --iodepth=8 --ioengine=libaio --direct=1 \
    --size=32M --verify=crc32c --verify_backlog=64 --time_based --runtime=3600 --trigger-file="/run/stop-load-$1" \
    --output-format=json --output="$FILES/load-$1.json" >/dev/null &
  eval "LOAD_$1=\$!"
}
stop_load() {
  local process=LOAD_$1
  touch "/run/stop-load-$1"
  wait "${!process}" || die "fio on $1 failed"
  expect_eq "$(jq '.jobs[0].error' "$FILES/load-$1.json")" 0 "fio's error on $1"
}
