# shellcheck shell=bash
# What is done by I/O grant, as the bus tells it. Sourced after devices.sh.

granted() { property "$1" GrantedCommands | jq ".$2"; } # granted NAME read|write|flush: how many
granted_over() { [ "$(granted "$1" "$2")" -gt "$3" ]; }
grant_begins() { [[ $(property "$1" IoGrants) == "$2"* ]]; } # grant_begins NAME TEXT
expect_grant() { wait_until 30 grant_begins "$1" "$2" || die "$1: $(property "$1" IoGrants)"; }

goes_on() { # goes_on NAME KIND...: commands are done by grant, now
  local name=$1 kind
  local -A enough=()
  shift
  for kind; do enough[$kind]=$(($(granted "$name" "$kind") + 20)); done
  for kind; do
    wait_until 60 granted_over "$name" "$kind" "${enough[$kind]}" || die "no $kind of $name is done by grant"
  done
}

# supervisor_dies NAME: by a signal, and the next one goes on with the host of NAME.
supervisor_dies() {
  local before adoptions host
  before=$(main_pid) adoptions=$(property "$1" Adoptions) host=$(property "$1" HostPid)
  replaced() { [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ] && property_over "$2" Adoptions "$3"; }
  kill -9 "$before"
  wait_until 60 replaced "$before" "$1" "$adoptions" || die "no supervisor goes on with $1"
  expect_eq "$(property "$1" HostPid)" "$host" "the host of $1"
}
