#!/usr/bin/env bash
# Makes docs/d-feet.png: d-feet under Xvfb shows the running service with a device that has done some I/O.
# run: by-name
# packages: d-feet xvfb xdotool imagemagick fonts-dejavu-core dbus-bin
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

WIDTH=1200 HEIGHT=1320

start_supervisor
make_backing /srv/luns/d0.img 64M
create_lun file d0 64M /srv/luns/d0.img
disk=$(loopback_lun d0)
start_load d0 "$disk"
wait_until 60 answered_over d0 500
kill -9 "$(property d0 HostPid)"
wait_until 60 property_is d0 Restarts 1
stop_load d0

export DISPLAY=:7 NO_AT_BRIDGE=1 HOME=/run/home LC_ALL=C.UTF-8
mkdir -p "$HOME"
Xvfb "$DISPLAY" -screen 0 "${WIDTH}x${HEIGHT}x24" & xvfb=$!
wait_until 60 xdotool getdisplaygeometry
dbus-run-session -- d-feet & feet=$!
window() { xdotool search --onlyvisible --class d-feet; }
wait_until 120 window

# What the window shows is known by its pixels alone. It is done drawing when they no longer change.
picture() { import -window root png:- | sha256sum; }
still() {
  local before
  before=$(picture)
  sleep 2 # a pause to compare two pictures
  [ "$before" = "$(picture)" ]
}
settle() { wait_until 120 still; }
keys() { xdotool key --delay 200 "$@" && settle; }

xdotool windowsize "$(window | tail -n 1)" "$WIDTH" "$HEIGHT"
settle
xdotool type TCMU
settle
xdotool mousemove 200 115 click 1 # the service
settle
xdotool mousemove 700 145 click 1 # its tree, then by keys: the last object is the device
settle
keys End Right
keys Down Down Left Down Left Down Left Down # the standard interfaces are no news
keys shift+Right
keys End
properties=$(busctl introspect "$BUS_NAME" "$(device_object d0)" "$DEVICE_INTERFACE" | grep -c property)
for ((i = 0; i < properties; i++)); do xdotool key Return Up; done # each is read when asked for
keys Up
import -window root "$FILES/d-feet.png"

kill "$feet" "$xvfb"
wait || true
delete_lun d0
stop_supervisor
