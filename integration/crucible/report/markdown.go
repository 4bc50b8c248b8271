package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
)

// Markdown returns the whole document. The pictures are below the directory of the given name.
func (d Document) Markdown(pictures string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", d.Title)
	if intro := strings.TrimSpace(d.Intro); intro != "" {
		b.WriteString(intro + "\n\n")
	}
	profiles := d.profiles()
	for _, profile := range profiles {
		if len(profiles) > 1 {
			fmt.Fprintf(&b, "## %s\n\n", profile)
		}
		if run := d.Runs[profile]; run != "" {
			b.WriteString(run + "\n\n")
		}
		results := d.of(profile)
		b.WriteString(summary(results) + "\n\n" + Table(results) + "\n")
	}
	if len(d.Known) > 0 {
		b.WriteString("## Known losses\n\nA case of this list that holds fails, so the list can only shrink.\n\n")
		b.WriteString("| name | case | what may not be 0 | cause | where |\n|---|---|---|---|---|\n")
		for _, k := range d.Known {
			name := k.Case
			if k.Profile != "" && len(profiles) > 1 {
				name += " (" + k.Profile + ")"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(k.Name), cell(name), join(k.Numbers), cell(k.Cause), cell(k.Where))
		}
		b.WriteString("\n")
	}
	if d.PerSeed {
		return strings.TrimSpace(b.String()) + "\n"
	}
	b.WriteString("## Cases\n\n")
	for _, profile := range profiles {
		for _, r := range d.of(profile) {
			title := r.Case
			if len(profiles) > 1 {
				title += " (" + profile + ")"
			}
			fmt.Fprintf(&b, "### %s\n\n%s", title, r.section(pictures))
		}
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// profiles are the names of the profiles, in the order of their first result.
func (d Document) profiles() []string {
	var names []string
	for _, r := range d.Results {
		if !slices.Contains(names, r.Profile) {
			names = append(names, r.Profile)
		}
	}
	return names
}

func (d Document) of(profile string) []Result {
	var results []Result
	for _, r := range d.Results {
		if r.Profile == profile {
			results = append(results, r)
		}
	}
	return results
}

func summary(results []Result) string {
	counts := map[Verdict]int{}
	var written int64
	for _, r := range results {
		counts[r.Verdict]++
		written += r.Written()
	}
	text := fmt.Sprintf("%d cases, %s records: %d hold", len(results), thousands(written), counts[Holds])
	for _, v := range []struct {
		verdict Verdict
		text    string
	}{{KnownFailure, "with a known loss"}, {Fails, "fail"}, {Stale, "hold although they are listed as a known loss"}} {
		if n := counts[v.verdict]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, v.text)
		}
	}
	return text + "."
}

// Table returns the results as a table of Markdown. Results of several seeds have them beside the name of the case.
func Table(results []Result) string {
	seeds := slices.ContainsFunc(results, func(r Result) bool { return r.Seed != results[0].Seed })
	var b strings.Builder
	b.WriteString("| case | written | lost | duplicated | dead-lettered | recovery | peak memory | verdict |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|---|---|\n")
	for _, r := range results {
		name := r.Case
		if seeds {
			name += fmt.Sprintf(", seed %d", r.Seed)
		}
		verdict := string(r.Verdict)
		if !r.Verdict.OK() {
			verdict = "**" + verdict + "**"
		}
		var more []string
		for _, n := range numbers {
			if count := r.Number(n); count > 0 && !slices.Contains([]Number{Lost, Duplicated, DeadLettered, Foreign}, n) {
				more = append(more, fmt.Sprintf("%s %s", thousands(count), n))
			}
		}
		if r.Error != "" {
			more = append(more, cell(r.Error))
		}
		if len(more) > 0 {
			verdict += "; " + strings.Join(more, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", cell(name), thousands(r.Written()), thousands(r.Number(Lost)),
			thousands(r.Number(Duplicated)), thousands(r.Number(DeadLettered)), r.recovery(), r.peak("agent", "consumer"), verdict)
	}
	return b.String()
}

func (r Result) recovery() string {
	if r.Error != "" || len(r.Faults) == 0 {
		return ""
	}
	if r.Recovery < 0 {
		return "never"
	}
	return seconds(r.Recovery)
}

// peak gives the highest peak of the processes of each role: consumer-1 and consumer-2 are consumers.
func (r Result) peak(roles ...string) string {
	peaks := map[string]int64{}
	for name, bytes := range r.PeakRSS {
		role := strings.TrimRight(name, "-0123456789")
		peaks[role] = max(peaks[role], bytes)
	}
	if len(roles) == 0 {
		roles = slices.Sorted(maps.Keys(peaks))
	}
	var texts []string
	for _, role := range roles {
		if peaks[role] > 0 {
			texts = append(texts, fmt.Sprintf("%s %d MB", role, (peaks[role]+500_000)/1_000_000))
		}
	}
	return strings.Join(texts, ", ")
}

// section is what is said about one case.
func (r Result) section(pictures string) string {
	var b strings.Builder
	paragraph := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n\n", args...) }
	if r.About != "" {
		paragraph("%s", r.About)
	}
	line := fmt.Sprintf("Seed %d, %s.", r.Seed, seconds(r.Duration))
	for i, f := range r.Faults {
		if i == 0 {
			line += " Faults: "
		} else {
			line += "; "
		}
		line += f.Name + " at " + strconv.FormatFloat(f.From, 'f', 1, 64) + " s"
		if f.To > f.From {
			line += " for " + strconv.FormatFloat(f.To-f.From, 'f', 1, 64) + " s"
		}
	}
	if len(r.Faults) > 0 {
		line += "."
	}
	paragraph("%s", line)
	for _, note := range r.Notes {
		paragraph("%s", note)
	}
	if len(r.Series) > 0 {
		paragraph("![%s: records a second and backlog over time](%s/%s)", r.Case, pictures, picture(r))
	}
	verdict := "Verdict: " + string(r.Verdict)
	if len(r.Why) > 0 {
		verdict += ": " + strings.Join(r.Why, "; ")
	}
	paragraph("%s.", verdict)
	if peak := r.peak(); peak != "" {
		paragraph("Peak memory: %s.", peak)
	}
	var items []string
	for _, audit := range r.Audits {
		for _, w := range audit.Writers {
			items = append(items, details(w)...)
		}
		if audit.Foreign > 0 {
			items = append(items, fmt.Sprintf("%s rows of no writer, such as %q", thousands(audit.Foreign), audit.ForeignExamples))
		}
	}
	for _, item := range items {
		b.WriteString("- " + item + "\n")
	}
	if len(items) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// details are what is not as it should be of one writer, and why it was dead-lettered.
func details(w oracle.WriterReport) []string {
	var items []string
	add := func(format string, args ...any) {
		items = append(items, w.Writer+": "+fmt.Sprintf(format, args...))
	}
	if w.Lost > 0 {
		add("%s of %s lost: %s", thousands(w.Lost), thousands(w.Written), oracle.Ranges(w.LostSeqs))
	}
	if w.Corrupted > 0 {
		add("%s of %s corrupted: %s", thousands(w.Corrupted), thousands(w.Written), oracle.Ranges(w.CorruptedSeqs))
	}
	if n := w.CorruptedCopies - w.Corrupted; n > 0 {
		add("%s corrupted copies beside whole ones", thousands(n))
	}
	if w.Duplicated > 0 {
		add("%s further copies, of %s", thousands(w.Duplicated), oracle.Ranges(w.DuplicatedSeqs))
	}
	for _, e := range w.LabelExamples {
		add("%s mislabelled; %d has %s=%q instead of %q", thousands(w.Mislabelled), e.Seq, e.Label, e.Got, e.Want)
		break
	}
	for _, more := range []struct {
		n    int64
		text string
	}{
		{w.Retimed, "with another time"}, {w.Unwritten, "that were never written"},
		{w.ResentCopies, "further copies of what the writer pushed twice itself"},
	} {
		if more.n > 0 {
			add("%s %s", thousands(more.n), more.text)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(w.DeadByReason)) {
		add("%s dead-lettered as %q", thousands(w.DeadByReason[reason]), reason)
	}
	return items
}

func join(numbers []Number) string {
	texts := make([]string, 0, len(numbers))
	for _, n := range numbers {
		texts = append(texts, string(n))
	}
	return strings.Join(texts, ", ")
}

// cell makes a text fit into a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", "").Replace(text)
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
