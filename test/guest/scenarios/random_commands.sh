#!/usr/bin/env bash
# An initiator sends anything: random commands, four at a time, to one LUN by SG_IO, nearly right ones by what the LUN says it
# supports and wild ones. Every answer is one that a disk may give, no host dies of it, the LUN is ready afterwards, and the
# neighbour, which is verified meanwhile, sees no error. RANDOM_SEED=N repeats a sequence, RANDOM_SECONDS=N lasts longer.
# timeout: 900
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

start_supervisor
supervisor=$(main_pid)
for lun in d0 d1; do
  make_backing /scratch/$lun.raw 64M
  create_lun file $lun 64M /scratch/$lun.raw
done
target=$(loopback_lun d0)
bystander=$(loopback_lun d1)
start_load d1 "$bystander"
wait_until 60 answered_over d1 100
hosts="$(host_pid d0) $(host_pid d1)"

seed=${RANDOM_SEED:-$RANDOM$RANDOM}
seconds=${RANDOM_SECONDS:-60}
say "seed $seed, $seconds s"
status=0
within $((seconds + 240)) /usr/lib/tcmu-bulkhead/tcmu-random-cdbs --seed "$seed" --seconds "$seconds" --deadline "$(deadline 60)" \
  "$target" >"$FILES/commands.txt" 2>"$FILES/wrong.txt" || status=$?
cat "$FILES/commands.txt"
[ "$status" = 0 ] || die "seed $seed: $(wc -l <"$FILES/wrong.txt") complaints, the first: $(head -n 1 "$FILES/wrong.txt")"
record "random commands answered" "$(sed -n 's/ commands, .*//p' "$FILES/commands.txt" | tail -n 1)" commands

expect_eq "$(host_pid d0) $(host_pid d1)" "$hosts" "hosts"
expect_eq "$(property d0 State) $(property d0 Restarts)" "serving 0" "the LUN"
expect_eq "$(property d1 State) $(property d1 Restarts)" "serving 0" "its neighbour"
expect_eq "$(main_pid)" "$supervisor" "the supervisor"
stop_load d1
delete_lun d0
delete_lun d1
expect_nothing_left
