package prepare

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// chromiumPackage is the Debian package of Chromium.
const chromiumPackage = "chromium"

// chromiumCommands are the names that it has on different systems; all speak the same protocol.
var chromiumCommands = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Chromium returns the path of a browser that runs without a display. Where it may (as root, with apt-get) it installs
// what is missing; elsewhere the error says what to install.
func (p *Preparer) Chromium(ctx context.Context) (string, error) {
	path, reason := findChromium()
	if reason == nil {
		return path, nil
	}
	if canInstall() {
		err := p.locked(ctx, "chromium", func() error {
			if path, reason = findChromium(); reason == nil {
				return nil
			}
			p.say("installing %s with apt-get (about a minute)", chromiumPackage)
			// Without fonts it draws boxes; as a recommendation they would not come.
			return aptInstall(ctx, []string{chromiumPackage, "fonts-dejavu-core"})
		})
		if err != nil {
			return "", err
		}
		if path, reason = findChromium(); reason == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the live page is tested in Chromium (%w); on Debian: apt-get install %s", reason, chromiumPackage)
}

func findChromium() (string, error) {
	for _, command := range chromiumCommands {
		if path, err := exec.LookPath(command); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no chromium")
}
