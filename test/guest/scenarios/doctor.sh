#!/usr/bin/env bash
# tcmuctl doctor finds what keeps a LUN from being served and says the remedy: each fault is planted alone, found, and gone
# after what the doctor said to do.
# boot: own
# peer: tcmu-runner
# timeout: 900
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

POLICY=/usr/share/dbus-1/system.d/org.kernel.TCMUService1.conf
ACTIVATION=/usr/share/dbus-1/system-services/org.kernel.TCMUService1.service
MANIFESTS=/usr/lib/tcmu-bulkhead/handlers

examine() { # examine [CALLER...]: the report is in /run/doctor.txt, the status in $status
  status=0
  "$@" tcmuctl doctor >/run/doctor.txt 2>&1 || status=$?
}
well() {
  examine
  [ "$status" = 0 ] || die "still ill ($status): $(cat /run/doctor.txt)"
  grep -qx 'No problem found.' /run/doctor.txt || die "still ill ($status): $(cat /run/doctor.txt)"
  ! grep -q '^PROBLEM' /run/doctor.txt || die "status 0 in spite of: $(cat /run/doctor.txt)"
}
finds() { # finds FINDING REMEDY: as a problem, with the remedy in the next line
  expect_eq "$status" 8 "exit status of the doctor"
  grep -A 1 -F -- "PROBLEM  $1" /run/doctor.txt | contains -F -- "-> $2" || die "not found: \"$1\" -> \"$2\" in: $(cat /run/doctor.txt)"
}
notices() { grep -A 1 -F -- "notice   $1" /run/doctor.txt | contains -F -- "-> $2" || die "no notice \"$1\": $(cat /run/doctor.txt)"; }
reload_bus() { systemctl reload dbus; }
report() { # for the documentation
  printf '# %s\n' "$1" >>"$FILES/doctor.txt"
  cat /run/doctor.txt >>"$FILES/doctor.txt"
}

# ---- All is well

start_supervisor
# It is started before the kernel has loaded what it asks for.
wait_until 60 test -d /sys/class/uio -a -d "$TARGET"
well
notices "The supervisor does not start at boot, only on demand." "systemctl enable tcmu-supervisor"
systemctl enable "$SUPERVISOR"
well
report "all is well"
expect_eq "$(grep -c '^good' /run/doctor.txt)" "$(($(wc -l </run/doctor.txt) - 1))" "lines that say good"
examine as_nobody
expect_eq "$status" 0 "exit status for nobody when all is well"

# ---- The bus's files

mv "$POLICY" /root/kept
bus_daemon ReloadConfig
examine
finds "The bus's policy file $POLICY is missing." "reinstall tcmu-bulkhead, then systemctl reload dbus"
finds "The bus lets the supervisor own no name: its policy file is not in force." "systemctl reload dbus"
report "the policy file is missing"
examine as_nobody
finds "The bus's policy file $POLICY is missing." "reinstall tcmu-bulkhead"
finds "The bus lets the supervisor own no name: its policy file is not in force." "systemctl reload dbus"
mv /root/kept "$POLICY"
reload_bus
well

chmod 600 "$POLICY"
reload_bus
examine
finds "The bus can't read its policy file $POLICY: mode 0600 of $POLICY." "chmod o+rX it, then systemctl reload dbus"
chmod o+rX "$POLICY"
reload_bus
well

# The bus sees changes of its folders by itself. One that it does not see: the folder was covered when it last looked.
mkdir /run/without-ours
find "${POLICY%/*}" -type f ! -name "${POLICY##*/}" -exec cp {} /run/without-ours \;
mount --bind /run/without-ours "${POLICY%/*}"
bus_daemon ReloadConfig
umount "${POLICY%/*}"
examine
finds "The bus lets the supervisor own no name: its policy file is not in force." "systemctl reload dbus"
grep -qF "good     The bus's policy file is $POLICY." /run/doctor.txt || die "the file itself is in order: $(cat /run/doctor.txt)"
report "the bus was not reloaded"
examine as_nobody
finds "The bus lets the supervisor own no name: its policy file is not in force." "systemctl reload dbus"
reload_bus
well

mv "$ACTIVATION" /root/kept
reload_bus
examine
finds "The bus can't start the supervisor by itself: $ACTIVATION: No such file or directory." "reinstall tcmu-bulkhead"
finds "The bus can't start the supervisor on demand: it does not know the name as activatable." "systemctl reload dbus"
mv /root/kept "$ACTIVATION"
reload_bus
well

# ---- The unit

stop_supervisor
examine
finds "The supervisor is not running: nobody owns org.kernel.TCMUService1." "systemctl start tcmu-supervisor"
systemctl mask "$SUPERVISOR" 2>&1
examine
finds "The unit is masked by /etc/systemd/system/tcmu-supervisor.service." "systemctl unmask tcmu-supervisor.service"
report "the unit is masked, and so the supervisor stopped"
refused systemctl start "$SUPERVISOR" >/dev/null
systemctl unmask "$SUPERVISOR"
start_supervisor
well

# ---- The kernel's side, with the supervisor waiting for it

modprobe -r target_core_user
examine
finds "The kernel module target_core_user is not loaded." "modprobe target_core_user"
report "target_core_user is not loaded"
modprobe target_core_user
well
make_backing /scratch/d0.raw 32M
create_lun file d0 32M /scratch/d0.raw
wait_until 60 property_is d0 State serving
delete_lun d0

umount /sys/kernel/config
examine
finds "configfs is not mounted." "mount -t configfs none /sys/kernel/config"
mount -t configfs none /sys/kernel/config
well

# ---- Handlers

stop_supervisor
printf 'subtype: "broken"\nname "no colon" }\n' >"$MANIFESTS/broken.textproto"
printf 'subtype: "empty"\nname: "a handler without its library"\nconfig_description: "none"\n' >"$MANIFESTS/empty.textproto"
start_supervisor
examine
finds "The manifest $MANIFESTS/broken.textproto is broken: " "correct it"
finds "Handler 'empty': its library $MANIFESTS/handler_empty.so is missing." "reinstall the handler"
finds "Handler 'broken' can't be used: " "repair or reinstall it, then systemctl restart tcmu-supervisor"
finds "Handler 'empty' can't be used: " "repair or reinstall it, then systemctl restart tcmu-supervisor"
report "broken handlers"
tcmuctl handlers | contains -E '^broken +broken ' || die "tcmuctl handlers shows no broken handler"
expect_eq "$(check_config file//scratch/d0.raw | jq '.[0]')" true "the others go on"
expect_eq "$(check_config empty/x | jq '.[0]')" false "a verdict by a handler that can't be used"
rm "$MANIFESTS/broken.textproto" "$MANIFESTS/empty.textproto"
within 180 systemctl restart "$SUPERVISOR"
wait_until 60 bus_name_owned
well
chown nobody "$MANIFESTS/file.textproto"
examine
expect_eq "$status" 8 "exit status of the doctor when nobody owns a manifest"
grep -q "PROBLEM.*file.textproto" /run/doctor.txt || die "nobody's manifest is not found: $(cat /run/doctor.txt)"
chown root "$MANIFESTS/file.textproto"
chmod 640 "$MANIFESTS/file.textproto"
examine as_nobody
finds "The manifest $MANIFESTS/file.textproto can't be read: Permission denied." "chmod 644 it"
chmod 644 "$MANIFESTS/file.textproto"
well
chmod 700 /usr/lib/tcmu-bulkhead/tcmu-handler-host
examine
finds "/usr/lib/tcmu-bulkhead/tcmu-handler-host can't be executed by every user (mode 0700)." \
  "chmod 755 /usr/lib/tcmu-bulkhead/tcmu-handler-host"
chmod 755 /usr/lib/tcmu-bulkhead/tcmu-handler-host
well

# ---- Another daemon

stop_supervisor
start_peer_runner
runner=$(name_owner_pid)
examine
finds "The bus name belongs to another daemon: pid $runner (tcmu-runner)." "stop it"
finds "Another daemon, pid $runner (tcmu-runner), holds /run/tcmu.lock." "stop it"
report "tcmu-runner is running"
stop_peer_runner
start_supervisor
well
stop_supervisor
