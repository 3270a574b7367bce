# shellcheck shell=bash
# SCSI commands one by one, and what comes back. Source after lib.sh.

# scsi_sense DISK [SG_RAW-OPTION...] CDB-BYTE...: "good", or the sense in one line: "illegal request / invalid field in cdb /
# error in command: byte 1 bit 2". Options of sg_raw: -r N, -s N -i FILE, -o FILE. Several bytes may be in one argument.
scsi_sense() {
  local disk=$1 options=() cdb=() said
  shift
  while [[ $1 == -* ]]; do options+=("$1" "$2") && shift 2; done
  read -ra cdb <<<"$*"
  # -R: a write-protected disk can't be opened for writing, and root needs no writable descriptor for any command.
  said=$(within 60 sg_raw -R "${options[@]}" "$disk" "${cdb[@]}" 2>&1 </dev/null) || true
  if grep -q '^SCSI Status: Good' <<<"$said"; then
    echo good
  elif grep -q 'Sense key: ' <<<"$said"; then
    sed -nE 's/.*Sense key: //p; s/^ *Additional sense: //p; s/^ *Sense Key Specific: //p' <<<"$said" |
      tr '[:upper:]' '[:lower:]' | sed 's/ *$//' | paste -sd/ | sed 's|/| / |g'
  else
    sed -nE 's/^SCSI Status: *(.*[^ ]) *$/status \1/p' <<<"$said" | tr '[:upper:]' '[:lower:]'
  fi
}

# expect_sense "SENSE" DISK ...: as scsi_sense prints it, or its beginning.
expect_sense() {
  local wanted=$1 got
  shift
  got=$(scsi_sense "$@")
  [[ $got == "$wanted"* ]] || die "command ${*:2} was answered \"$got\", not \"$wanted\""
}

# lba10 NUMBER, lba16 NUMBER: the bytes of an LBA field.
lba10() { printf '%02x %02x %02x %02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)); }
lba16() { printf '%s %s' "$(lba10 $(($1 >> 32)))" "$(lba10 $(($1 & 0xffffffff)))"; }

# expect_in TEXT PATTERN WHAT: the output must have a line that matches.
expect_in() {
  grep -qE -- "$2" <<<"$1" || {
    printf '%s\n' "$1" >&2
    die "$3: no line matches: $2"
  }
}

# blocks_of FILE: 512-byte blocks it takes on its file system.
blocks_of() { stat -c %b "$1"; }

random_file() { head -c "$2" /dev/urandom >"$1"; } # random_file PATH BYTES
