package main

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

const (
	maxGroups     = 1000 // of list; what is beyond is one group
	maxErrorRunes = 100  // of a line of a table
)

// group is a line of the list.
type group struct {
	reason, signal, source, err string
	letters, records, replayed  int
	first, last                 time.Time
	firstID, lastID             string
}

func list(ctx context.Context, opts *options, from source, stdout io.Writer) error {
	replayed, err := from.replayed(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	if opts.each {
		_, _ = fmt.Fprintln(table, "ID\tTIME\tREASON\tSIGNAL\tFROM\tBYTES\tRECORDS\tREPLAYS\tREPLAYED\tERROR")
	}
	groups := map[[4]string]*group{}
	seen := map[string]bool{}
	total, copies := 0, 0
	counted, err := from.each(ctx, func(e *entry) error {
		if !opts.selection.matches(e) {
			return nil
		}
		l := &e.letter
		id := l.ID()
		if opts.each {
			_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", e.id, stamp(l.Time), cell(l.Reason), cell(l.Signal),
				cell(position(e)), len(l.Value), l.Records, l.Replays, yesNo(replayed[id]), cell(l.Error))
			total++
			return err
		}
		if seen[id] {
			copies++
			return nil
		}
		seen[id] = true
		total++
		key := [4]string{cell(l.Reason), cell(l.Signal), cell(l.Topic), cell(l.Error)}
		g := groups[key]
		if g == nil {
			if len(groups) >= maxGroups {
				key = [4]string{"(others)", "-", "-", "-"}
			}
			if g = groups[key]; g == nil {
				g = &group{reason: key[0], signal: key[1], source: key[2], err: key[3]}
				groups[key] = g
			}
		}
		g.add(e, replayed[id])
		return nil
	})
	if err != nil {
		return err
	}
	if !opts.each && total > 0 {
		writeGroups(table, groups)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d dead letters%s\n", total, remarks(copies, counted))
	return err
}

func (g *group) add(e *entry, replayed bool) {
	l := &e.letter
	g.letters++
	g.records += l.Records
	if replayed {
		g.replayed++
	}
	if g.firstID == "" || l.Time.Before(g.first) {
		g.first, g.firstID = l.Time, e.id
	}
	if g.lastID == "" || !l.Time.Before(g.last) {
		g.last, g.lastID = l.Time, e.id
	}
}

func writeGroups(table io.Writer, groups map[[4]string]*group) {
	sorted := make([]*group, 0, len(groups))
	for _, g := range groups {
		sorted = append(sorted, g)
	}
	sort.Slice(sorted, func(i, j int) bool {
		if sorted[i].letters != sorted[j].letters {
			return sorted[i].letters > sorted[j].letters
		}
		return sorted[i].firstID < sorted[j].firstID
	})
	_, _ = fmt.Fprintln(table, "LETTERS\tRECORDS\tREPLAYED\tREASON\tSIGNAL\tTOPIC\tFIRST\tLAST\tFIRST ID\tLAST ID\tERROR")
	for _, g := range sorted {
		_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.letters, g.records, g.replayed,
			g.reason, g.signal, g.source, stamp(g.first), stamp(g.last), g.firstID, g.lastID, g.err)
	}
}

// remarks tells of what is not in a table.
func remarks(copies int, t tally) string {
	var parts []string
	if copies > 0 {
		parts = append(parts, fmt.Sprintf("%d copies of them, stored twice after a failure", copies))
	}
	if t.foreign > 0 {
		parts = append(parts, fmt.Sprintf("%d that are no dead letters", t.foreign))
	}
	if t.torn > 0 {
		parts = append(parts, fmt.Sprintf("%d torn last lines, which nobody took for stored", t.torn))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (and " + strings.Join(parts, "; ") + ")"
}

// position is where the message was read.
func position(e *entry) string {
	l := &e.letter
	switch {
	case l.Topic == "":
		return ""
	case l.Last > l.Offset:
		return fmt.Sprintf("%s/%d@%d-%d", l.Topic, l.Partition, l.Offset, l.Last)
	default:
		return fmt.Sprintf("%s/%d@%d", l.Topic, l.Partition, l.Offset)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// cell is a text for a table, on one line and without anything that a terminal obeys.
func cell(text string) string {
	text = oneLine(text)
	if runes := []rune(text); len(runes) > maxErrorRunes {
		text = string(runes[:maxErrorRunes]) + "…"
	}
	if text == "" {
		return "-"
	}
	return text
}

func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
