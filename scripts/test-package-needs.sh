#!/usr/bin/env bash
# Installs what the packages' test needs beside the packages, as root on Debian; elsewhere that test skips, and says so.
set -euo pipefail
if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
	exit 0
fi
missing=()
command -v rpm >/dev/null || missing+=(rpm)
[ -x /lib/systemd/systemd ] || missing+=(systemd)
command -v unshare >/dev/null && command -v nsenter >/dev/null || missing+=(util-linux)
if [ ${#missing[@]} -gt 0 ]; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
