package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// journalRemotePath is where Debian and others have it; it is in no PATH.
const journalRemotePath = "/usr/lib/systemd/systemd-journal-remote"

// journalRemotePackage is the Debian package of it.
const journalRemotePackage = "systemd-journal-remote"

// Journal says how to write and read journals of systemd without a running one.
type Journal struct {
	Remote     string // path of systemd-journal-remote, which writes journal files
	Journalctl string // path of journalctl
}

// Journal finds systemd's tools. Where it may (as root, with apt-get) it installs what is missing; elsewhere the error says
// what to install.
func (p *Preparer) Journal(ctx context.Context) (Journal, error) {
	j, reason := findJournal()
	if reason == nil {
		return j, nil
	}
	if canInstall() {
		err := p.locked(ctx, "journal", func() error {
			if j, reason = findJournal(); reason == nil {
				return nil
			}
			p.say("installing %s with apt-get", journalRemotePackage)
			return aptInstall(ctx, []string{journalRemotePackage})
		})
		if err != nil {
			return j, err
		}
		if j, reason = findJournal(); reason == nil {
			return j, nil
		}
	}
	return j, fmt.Errorf("a journal needs systemd's tools (%w); on Debian: apt-get install %s", reason, journalRemotePackage)
}

func findJournal() (Journal, error) {
	j := Journal{Remote: journalRemotePath}
	var reasons []error
	if _, err := os.Stat(j.Remote); err != nil {
		reasons = append(reasons, err)
	}
	var err error
	if j.Journalctl, err = exec.LookPath("journalctl"); err != nil {
		reasons = append(reasons, err)
	}
	return j, errors.Join(reasons...)
}
