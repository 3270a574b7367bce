#!/bin/sh
# make-root-image.sh TAR IMAGE SIZE: a tar of a root tree becomes an ext4 image, owners and all. Nothing is mounted, so it
# also works for an ordinary user inside a user namespace (driver/command.py).
set -eu
tar=$1 image=$2 size=$3

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
# Device nodes can't be made in a user namespace, and devtmpfs hides them anyway.
tar -xf "$tar" -C "$tree" --numeric-owner --exclude='./dev/*'
# Mount points; and etc/target, which targetcli expects from its package's first configuration.
mkdir -p "$tree/share" "$tree/scratch" "$tree/usr/lib/modules" "$tree/etc/target"
rm -rf "$tree/var/cache/apt" "$tree/var/lib/apt/lists"

truncate -s "$size" "$image"
# Inode tables written now: later, a kernel thread would do it in the middle of somebody's measurement.
mke2fs -q -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 -d "$tree" "$image"
