# shellcheck shell=bash
# Tests of libiscsi's suite against an iSCSI LUN, one by one. Sourced after lib.sh.
#
# A test passes if CUnit's summary says so and the test's own part of the output has no [SKIPPED] line.

# shellcheck source=test/guest/helpers/speed.sh
source /usr/lib/bulkhead-guest/helpers/speed.sh

# conformance_families: the names of all tests of the families SCSI and iSCSI.
conformance_families() { iscsi-test-cu -l | grep -oE '\b(SCSI|iSCSI)\.[A-Za-z0-9]+\.[A-Za-z0-9]+' | sort -u; }

# conformance_test NAME URL: "pass", "skip" or "fail", a tab, the reason. Every test is a process of its own, as some leave
# sessions behind that the next one would trip over. Those of several paths get a second one, by another address.
conformance_test() {
  local said own status=0 paths=("$2")
  [[ $1 != SCSI.MultipathIO.* ]] || paths+=("${2/127.0.0.1/127.0.0.2}")
  said=$(timeout --kill-after=10 "$(deadline 180)" \
    iscsi-test-cu -d -V --allow-sanitize --test="$1" "${paths[@]}" 2>&1 </dev/null) || status=$?
  own=$(sed -n '/Suite: /,$p' <<<"$said")
  if [ "$status" = 124 ]; then
    printf 'fail\tno end within %s s\n' "$(deadline 180)"
  elif grep -qE '^ +tests +1 +1 +1 +0 ' <<<"$own"; then # ran, passed, failed
    if grep -q '\[SKIPPED\]' <<<"$own"; then
      printf 'skip\t%s\n' "$(conformance_reason '\[SKIPPED\]' "$own")"
    else
      printf 'pass\t\n'
    fi
  else
    printf 'fail\t%s\n' "$(conformance_reason '\[FAILED\]|^ +[0-9]+\. ' "$own")"
  fi
}

# The first line that says why, without what comes before.
conformance_reason() {
  local reason
  reason=$(grep -m1 -E "$1" <<<"$2" | sed -E 's/^ *(\[[A-Z]+\]|[0-9]+\.) *//; s/[[:space:]]+/ /g' || true)
  printf '%s' "${reason:-$(tail -n 1 <<<"$2")}"
}

# conformance_run FILE [REGEX]: the tests whose names match, or all; a line each of name, verdict, reason, to the file and to the
# log. fresh_lun SIZE [OPTIONS] prints the URL of a LUN that nobody has a reservation on: a test that failed may leave one behind,
# and the next ones would fail of that. Tests of the same kind of LUN come one after the other: a new one takes as long as ten.
conformance_run() {
  local name result kind url='' url_kind=''
  : >"$1"
  while IFS=$'\t' read -r kind name; do
    if [ -z "$url" ] || [ "$kind" != "$url_kind" ]; then
      # shellcheck disable=SC2086  # words
      url=$(fresh_lun $kind) url_kind=$kind
    fi
    result=$(conformance_test "$name" "$url")
    printf '%s\t%s\n' "$name" "$result" | tee -a "$1"
    [[ $result != fail* ]] || url=''
  done < <(conformance_families | grep -E "${2:-.}" | while read -r name; do
    printf '%s\t%s\n' "$(conformance_lun "$name")" "$name"
  done | sort -s -t $'\t' -k 1,1)
}

# conformance_lun NAME: size and options of the LUN that the test needs. One looks whether a sanitize operation survives resets
# and a new login, and so must find it at work many seconds later; one is about a disk that can't be written.
conformance_lun() {
  case $1 in
    SCSI.Sanitize.Reset) echo 4G ;;
    SCSI.ReadOnly.*) echo '64M ?ro=on' ;;
    *) echo 64M ;;
  esac
}

# conformance_count VERDICT FILE
conformance_count() { grep -cP "^[^\t]+\t$1\t" "$2" || true; }

# conformance_compare FILE REGEX: whether the verdicts are those expected; prints what differs. Lines of the expectation: name,
# verdict, or "race" if it depends on who is faster, and why it is not "pass".
conformance_compare() {
  ONLY=$2 awk -F'\t' '
    NR == FNR { if ($0 !~ /^#/ && $1 ~ ENVIRON["ONLY"]) want[$1] = $2; next }
    { got[$1] = $2 }
    END {
      for (name in want) if (want[name] != "race" && want[name] != got[name]) bad += tell(name, want[name], got[name])
      for (name in got) if (!(name in want)) bad += tell(name, "nothing", got[name])
      exit bad > 0
    }
    function tell(name, wanted, had) { printf "%s: expected %s, got %s\n", name, wanted, had == "" ? "nothing" : had; return 1 }
  ' /usr/lib/bulkhead-guest/helpers/conformance.tsv "$1"
}

# conformance_side_by_side FILE...: passed/failed/skipped per suite, then every test whose verdicts differ.
conformance_side_by_side() { python3 /usr/lib/bulkhead-guest/helpers/side_by_side.py "$@"; }

# Of handler file, unless the scenario has one of its own.
fresh_lun() { # fresh_lun SIZE [OPTIONS]
  local config options=${2:-}
  clear_targets >&2
  config=$(speed_backing c0 "$1")
  [[ $config != *\?* || -z $options ]] || options="&${options#\?}" # one list
  create_lun file c0 "$1" "$config$options" >&2
  iscsi_export c0
}

# conformance_scenario REGEX: the tests whose names match, against handler file; ends the scenario if a verdict is not expected.
conformance_scenario() {
  mkdir -p /etc/rtslib-fb-target/pr # for persistent reservations that outlive a power cut
  speed_settings
  start_supervisor
  conformance_run "$FILES/conformance.tsv" "$1"
  ! journal_has 'handler-host (killed|dumped|exited|ended|broke)' || die "a test ended the LUN's host: see journal.txt"
  for verdict in pass skip fail; do
    record "conformance $verdict" "$(conformance_count "$verdict" "$FILES/conformance.tsv")" tests
  done
  conformance_compare "$FILES/conformance.tsv" "$1" || die "other verdicts than expected; see above"
  clear_targets
  expect_nothing_left
}
