# shellcheck shell=bash
# Settings that change while the supervisor runs. Sourced after bus.sh or devices.sh.

readonly CONF=/etc/tcmu/tcmu.conf

times_read() { journalctl -q --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" | grep -c "$CONF was read again" || true; }
read_more_than() { [ "$(times_read)" -gt "$1" ]; }
configure() { # configure LINE...: and waits until they count
  local before
  before=$(times_read)
  printf '%s\n' "$@" >"$CONF"
  wait_until 30 read_more_than "$before" || die "the configuration is not read again"
}
