#!/bin/sh
# Before the files are unpacked: some belong to the group.
set -e
getent group breakwater >/dev/null || groupadd --system breakwater
getent passwd breakwater >/dev/null || useradd --system --gid breakwater --home-dir /var/lib/breakwater \
	--no-create-home --shell /usr/sbin/nologin --comment Breakwater breakwater
