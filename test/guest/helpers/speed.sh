# shellcheck shell=bash
# What changes how a LUN is served and nothing of what its initiator sees, for scenarios that are run with each of it
# (test/guest/combinations.sh). Sourced after lib.sh. `guest run --set`:
#
#   SPEED_SETTINGS="io_grants=off busy_poll_usec=200"   lines of tcmu.conf
#   SPEED_BACKING=disk|cached|memory|mixed              a file past the page cache, through it, on a tmpfs of 700 MiB; each
#                                                       in turn
#
# Not for scenarios that reach for their LUN's file, or need a larger one (all of the suite: conformance).

speed_settings() { # before the supervisor starts
  local line
  for line in ${SPEED_SETTINGS:-}; do printf '%s\n' "$line" >>/etc/tcmu/tcmu.conf; done
  say "settings: ${SPEED_SETTINGS:-none}; files: ${SPEED_BACKING:-disk}"
}

# speed_backing NAME SIZE [NUMBER]: makes the file anew, and prints its path with what the config string needs beside it.
speed_backing() {
  local kinds=(disk cached memory) kind=${SPEED_BACKING:-disk} path=/scratch/$1.raw options=''
  [ "$kind" != mixed ] || kind=${kinds[${3:-0} % ${#kinds[@]}]}
  case $kind in
    disk) ;;
    cached) options='?direct=off' ;;
    memory)
      path=/ram/$1.raw
      mkdir -p /ram
      mountpoint -q /ram || mount -t tmpfs -o size=700M none /ram || die "no tmpfs for SPEED_BACKING=memory"
      ;;
    *) die "SPEED_BACKING=$kind is none of disk, cached, memory, mixed" ;;
  esac
  rm -f "$path"
  make_backing "$path" "$2"
  printf '%s%s\n' "$path" "$options"
}
