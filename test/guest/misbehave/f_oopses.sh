#!/usr/bin/env bash
# A fault in the kernel fails the scenario. TCMU divides by data_pages_per_blk without a look at it.
# verdict: fail -- divide error
source /usr/lib/bulkhead-guest/lib.sh
modprobe target_core_user
mkdir -p "$TARGET/core/user_0/zero"
echo "data_pages_per_blk=0" >"$TARGET/core/user_0/zero/control" || true
say "the kernel has survived"
