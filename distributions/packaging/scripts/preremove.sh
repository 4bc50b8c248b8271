#!/bin/sh
# dpkg says remove or upgrade, rpm how many versions stay.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop 'breakwater@*.service'
fi
# Every instance that was enabled, in whatever target.
for link in /etc/systemd/system/*.wants/breakwater@*.service; do
	if [ -L "$link" ]; then rm -f "$link"; fi
done
