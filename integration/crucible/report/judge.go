package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verdict is what a result comes to.
type Verdict string

// The verdicts.
const (
	Holds        Verdict = "holds"
	KnownFailure Verdict = "known loss"
	Fails        Verdict = "fails"
	Stale        Verdict = "stale"
)

// OK tells whether the result is as expected.
func (v Verdict) OK() bool { return v == Holds || v == KnownFailure }

// KnownLoss is something that a case is known not to hold.
type KnownLoss struct {
	Name    string   `json:"name"`
	Case    string   `json:"case"`
	Profile string   `json:"profile,omitempty"`
	Cause   string   `json:"cause"` // what goes wrong, in a sentence
	Where   string   `json:"where"` // the component and the line of its source, or the backend
	Numbers []Number `json:"numbers"`
}

// Judge sets Expected, Verdict and Why.
func (r *Result) Judge(known []KnownLoss) {
	r.Expected, r.Verdict, r.Why = string(Holds), Holds, nil
	var expected []KnownLoss
	var names []string
	for _, k := range known {
		if k.Case == r.Case && k.Profile == r.Profile {
			expected = append(expected, k)
			names = append(names, k.Name)
		}
	}
	if len(names) > 0 {
		r.Expected = strings.Join(names, ", ")
	}
	if r.Error != "" {
		// Nothing can be said about what is known.
		r.Verdict, r.Why = Fails, []string{r.Error}
		return
	}
	if len(r.Audits) == 0 || r.Written() == 0 {
		r.Verdict, r.Why = Fails, []string{"nothing was written"}
		return
	}
	for _, d := range r.Disagreements {
		r.Verdict = Fails
		r.Why = append(r.Why, "the ledger disagrees: "+d)
	}
	for _, n := range numbers {
		count := r.Number(n)
		if count == 0 || !slices.Contains(always, n) && !slices.Contains(r.Forbids, n) {
			continue
		}
		i := slices.IndexFunc(expected, func(k KnownLoss) bool { return slices.Contains(k.Numbers, n) })
		if i < 0 {
			r.Verdict = Fails
			r.Why = append(r.Why, fmt.Sprintf("%d %s", count, n))
			continue
		}
		if r.Verdict == Holds {
			r.Verdict = KnownFailure
		}
		r.Why = append(r.Why, fmt.Sprintf("%d %s (known: %s)", count, n, expected[i].Name))
	}
	for _, k := range expected {
		if slices.ContainsFunc(k.Numbers, func(n Number) bool { return r.Number(n) > 0 }) {
			continue
		}
		if r.Verdict != Fails {
			r.Verdict = Stale
		}
		r.Why = append(r.Why, fmt.Sprintf("the known loss %q did not happen: take it from the list", k.Name))
	}
}

// CheckKnown refuses a list of known losses that is not fit to excuse anything. cases are the names of all cases.
func CheckKnown(known []KnownLoss, cases []string) error {
	var err error
	seen := map[string]bool{}
	for _, k := range known {
		refuse := func(text string, args ...any) {
			err = errors.Join(err, fmt.Errorf("known loss %q: %s", k.Name, fmt.Sprintf(text, args...)))
		}
		key := k.Profile + "\x00" + k.Case + "\x00" + k.Name
		switch {
		case k.Name == "":
			refuse("it has no name")
		case seen[key]:
			refuse("it is listed twice for the case %s", k.Case)
		case !slices.Contains(cases, k.Case):
			refuse("there is no case %q", k.Case)
		case k.Cause == "" || k.Where == "":
			refuse("it does not say why and where")
		case len(k.Numbers) == 0:
			refuse("it excuses nothing")
		}
		for _, n := range k.Numbers {
			if !slices.Contains(numbers, n) {
				refuse("there is no number %q", n)
			}
		}
		seen[key] = true
	}
	return err
}
