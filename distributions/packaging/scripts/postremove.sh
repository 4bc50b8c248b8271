#!/bin/sh
# A removal keeps what cannot be had again: queue, positions, dead letters. Only a purge, which dpkg knows and rpm does
# not, deletes them, and dpkg itself then deletes the settings. The user stays: files elsewhere may be its own.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		# One that had to be killed would be listed as failed for ever.
		systemctl reset-failed 'breakwater@*.service' 2>/dev/null || true
	fi
	if [ -d /var/lib/breakwater ]; then
		echo "breakwater: queue and positions are kept in /var/lib/breakwater"
	fi
	;;
purge)
	if [ -d /var/lib/breakwater ]; then
		echo "breakwater: deleting queue and positions, $(du -sh /var/lib/breakwater | cut -f1) in /var/lib/breakwater"
		rm -rf /var/lib/breakwater
	fi
	;;
esac
