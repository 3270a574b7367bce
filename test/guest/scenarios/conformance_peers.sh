#!/usr/bin/env bash
# The same suite against Bulkhead's file handler, tcmu-runner's qcow on the same raw file and the kernel's fileio, in one boot,
# side by side. Prints two tables; asserts nothing.
# run: by-name
# boot: own
# peer: tcmu-runner
# timeout: 5400
# scratch: 6G
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

mkdir -p /etc/rtslib-fb-target/pr

fresh_lun() { # fresh_lun SIZE [OPTIONS]; the peers have no option to make a LUN read-only
  clear_targets >&2
  rm -f /scratch/c0.raw
  make_backing /scratch/c0.raw "$1"
  case $WHO in
    bulkhead) create_lun file c0 "$1" "/scratch/c0.raw${2:-}" >&2 ;;
    tcmu-runner) create_lun qcow c0 "$1" /scratch/c0.raw >&2 ;;
    fileio) targetcli_run /backstores/fileio create name=c0 file_or_dev=/scratch/c0.raw write_back=false >&2 ;;
  esac
  iscsi_export c0
}

run_against() {
  say "== $WHO"
  conformance_run "$FILES/$WHO.tsv"
  clear_targets
}

WHO=bulkhead
start_supervisor
run_against
stop_supervisor
WHO=tcmu-runner
start_peer_runner qcow
run_against
stop_peer_runner
WHO=fileio
run_against

conformance_side_by_side "$FILES"/{tcmu-runner,fileio,bulkhead}.tsv | tee "$FILES/side-by-side.md"
