package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// minJava is what the brokers of Apache Kafka 4 need.
const minJava = 17

// javaTools are the paths of the commands; mvn is empty when not asked for.
type javaTools struct{ java, mvn string }

// tools finds Java and, when asked for, Maven. Where it may (as root, with
// apt-get) it installs what is missing; elsewhere the error says what to install.
func (p *Preparer) tools(ctx context.Context, needMaven bool) (javaTools, error) {
	tools, missing, reason := findTools(ctx, needMaven)
	if len(missing) == 0 {
		return tools, nil
	}
	installErr := errors.New("")
	if canInstall() {
		p.say("installing %s with apt-get", strings.Join(missing, " "))
		if installErr = aptInstall(ctx, missing); installErr == nil {
			if tools, missing, reason = findTools(ctx, needMaven); len(missing) == 0 {
				return tools, nil
			}
			installErr = errors.New("installed, and still not found")
		}
	}
	message := fmt.Sprintf("real Kafka needs Java %d and Maven (%s); on Debian: "+
		"apt-get install openjdk-%d-jre-headless maven; or skip what needs it with SKIP_KAFKA=1",
		minJava, reason, minJava)
	if text := installErr.Error(); text != "" {
		message += "\n" + text
	}
	return javaTools{}, errors.New(message)
}

// findTools returns what there is, the Debian packages of what there is not, and
// why in words.
func findTools(ctx context.Context, needMaven bool) (tools javaTools, missing []string, reason string) {
	var reasons []string
	java, err := findJava(ctx)
	if err != nil {
		missing = append(missing, fmt.Sprintf("openjdk-%d-jre-headless", minJava))
		reasons = append(reasons, err.Error())
	}
	tools.java = java
	if needMaven {
		if tools.mvn, err = exec.LookPath("mvn"); err != nil {
			missing = append(missing, "maven")
			reasons = append(reasons, "there is no mvn")
		}
	}
	return tools, missing, strings.Join(reasons, ", ")
}

// findJava returns the first java that is new enough, of JAVA_HOME and PATH.
func findJava(ctx context.Context) (string, error) {
	var candidates []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	err := errors.New("there is no java")
	for _, java := range candidates {
		version, versionErr := javaVersion(ctx, java)
		switch {
		case versionErr != nil:
			err = versionErr
		case version < minJava:
			err = fmt.Errorf("%s is Java %d", java, version)
		default:
			return java, nil
		}
	}
	return "", err
}

var javaVersionPattern = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

func javaVersion(ctx context.Context, java string) (int, error) {
	output, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s does not run", java)
	}
	match := javaVersionPattern.FindSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("%s does not tell its version", java)
	}
	return strconv.Atoi(string(match[1]))
}

func canInstall() bool {
	if os.Geteuid() != 0 {
		return false
	}
	_, err := exec.LookPath("apt-get")
	return err == nil
}

func aptInstall(ctx context.Context, packages []string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := run(ctx, "", env, "apt-get", "update", "-q"); err != nil {
		return err
	}
	args := append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)
	return run(ctx, "", env, "apt-get", args...)
}
