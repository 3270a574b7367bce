#!/usr/bin/env bash
# The same suite against Bulkhead's file handler, tcmu-runner's qcow on the same raw file and the kernel's fileio, in one boot,
# side by side. Prints two tables; asserts nothing.
# run: by-name
# boot: own
# peer: tcmu-runner
# timeout: 5400
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

mkdir -p /etc/rtslib-fb-target/pr
make_backing /scratch/c0.raw 64M

run_against() { # run_against WHO
  say "== $1"
  conformance_run "$(iscsi_export c0)" "$FILES/$1.tsv"
  clear_targets
}

start_supervisor
create_lun file c0 64M /scratch/c0.raw
run_against bulkhead
stop_supervisor

start_peer_runner qcow
create_lun qcow c0 64M /scratch/c0.raw
run_against tcmu-runner
stop_peer_runner

targetcli_run /backstores/fileio create name=c0 file_or_dev=/scratch/c0.raw write_back=false
run_against fileio

conformance_side_by_side "$FILES"/{tcmu-runner,fileio,bulkhead}.tsv | tee "$FILES/side-by-side.md"
