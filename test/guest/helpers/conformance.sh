# shellcheck shell=bash
# Tests of libiscsi's suite against an iSCSI LUN, one by one. Sourced after lib.sh.
#
# A test passes if CUnit's summary says so and the test's own part of the output has no [SKIPPED] line.

# conformance_families: the names of all tests of the families SCSI and iSCSI.
conformance_families() { iscsi-test-cu -l | grep -oE '\b(SCSI|iSCSI)\.[A-Za-z0-9]+\.[A-Za-z0-9]+' | sort -u; }

# conformance_test NAME URL: "pass", "skip" or "fail", a tab, the reason. Every test is a process of its own, as some leave
# sessions behind that the next one would trip over.
conformance_test() {
  local said own status=0
  said=$(timeout --kill-after=10 "$(deadline 180)" iscsi-test-cu -d -V --allow-sanitize --test="$1" "$2" 2>&1 </dev/null) || status=$?
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

# conformance_run FILE: all tests; a line each of name, verdict, reason, to the file and to the log. The scenario's function
# fresh_lun SIZE prints the URL of a LUN that nobody has a reservation on: a test that failed may leave one behind, and the next
# ones would fail of that.
conformance_run() {
  local name result size url='' url_size=''
  : >"$1"
  while read -r name; do
    size=$(conformance_size "$name")
    if [ -z "$url" ] || [ "$size" != "$url_size" ]; then
      url=$(fresh_lun "$size") url_size=$size
    fi
    result=$(conformance_test "$name" "$url")
    printf '%s\t%s\n' "$name" "$result" | tee -a "$1"
    [[ $result != fail* ]] || url=''
  done < <(conformance_families)
}

# conformance_size NAME: how large a LUN the test needs. One looks whether a sanitize operation survives resets and a new login,
# and so must find it at work many seconds later.
conformance_size() { case $1 in SCSI.Sanitize.Reset) echo 4G ;; *) echo 64M ;; esac }

# conformance_count VERDICT FILE
conformance_count() { grep -cP "^[^\t]+\t$1\t" "$2" || true; }

# conformance_compare FILE: whether the verdicts are those expected; prints what differs. Lines of the expectation: name,
# verdict, why it is not "pass".
conformance_compare() {
  diff --unchanged-line-format= --old-line-format='expected: %L' --new-line-format='got:      %L' \
    <(grep -v '^#' /usr/lib/bulkhead-guest/helpers/conformance.tsv | cut -f1,2) <(cut -f1,2 "$1")
}

# conformance_side_by_side FILE...: passed/failed/skipped per suite, then every test whose verdicts differ.
conformance_side_by_side() { python3 /usr/lib/bulkhead-guest/helpers/side_by_side.py "$@"; }
