#!/bin/sh
# Nothing is started by an installation: which profiles this host runs is for the operator to say. What runs already is
# restarted; queue and positions wait on the disk meanwhile.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart 'breakwater@*.service' ||
		echo "breakwater: the new version did not start, see: journalctl -u 'breakwater@*'" >&2
fi
