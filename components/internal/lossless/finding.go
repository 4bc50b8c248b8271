package lossless

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Class says what decides whether a finding is there.
type Class string

const (
	// Configuration is a finding of the configuration alone: it is the same on every machine.
	Configuration Class = "configuration"
	// Surroundings is a finding of the configuration and what is around it: sizes of disks, topics, flags of backends.
	Surroundings Class = "surroundings"
)

// Rule is one way to lose data.
type Rule struct {
	// Code is stable: it is never used for another rule.
	Code string
	// Setting is the general form of the path of the setting.
	Setting string
	// Mistake is what is wrong with it, in a few words.
	Mistake string
	// Loss is what goes missing, and when.
	Loss string
	// Fix is what to set.
	Fix   string
	Class Class
}

// Finding is a Rule that a configuration breaks.
type Finding struct {
	Rule *Rule
	// Setting is the whole path, such as exporters::kafka::producer::required_acks.
	Setting string
	// Value is what is set there, never a secret. Empty: nothing to show.
	Value string
}

// String is one line.
func (f Finding) String() string {
	value := ""
	if f.Value != "" {
		value = " (" + f.Value + ")"
	}
	return fmt.Sprintf("%s `%s`%s: %s. Loss: %s. Fix: %s.", f.Rule.Code, f.Setting, value, f.Rule.Mistake, f.Rule.Loss, f.Rule.Fix)
}

// rules are in the order of their codes: the variables in rules.go register themselves.
var rules []*Rule

func rule(code, setting, mistake, loss, fix string) *Rule {
	r := &Rule{Code: code, Setting: setting, Mistake: mistake, Loss: loss, Fix: fix, Class: Configuration}
	rules = append(rules, r)
	return r
}

func surroundings(code, setting, mistake, loss, fix string) *Rule {
	r := rule(code, setting, mistake, loss, fix)
	r.Class = Surroundings
	return r
}

// Rules returns all rules in the order of their codes.
func Rules() []Rule {
	all := make([]Rule, 0, len(rules))
	for _, r := range rules {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// IsCode says whether a rule has the code.
func IsCode(code string) bool {
	return slices.ContainsFunc(rules, func(r *Rule) bool { return r.Code == code })
}

// sorted orders findings by code and setting, and drops those that were found on two ways.
func sorted(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Rule.Code, b.Rule.Code), strings.Compare(a.Setting, b.Setting), strings.Compare(a.Value, b.Value))
	})
	return slices.Compact(findings)
}

// Table returns the rules as a table of Markdown, as it is in the README of the extension.
func Table() string {
	var b strings.Builder
	b.WriteString("| code | setting | mistake | loss | fix |\n|---|---|---|---|---|\n")
	for _, r := range Rules() {
		code := r.Code
		if r.Class == Surroundings {
			code += " †"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", code, r.Setting, r.Mistake, r.Loss, r.Fix)
	}
	return b.String()
}
