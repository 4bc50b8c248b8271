package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Document is all that is written down.
type Document struct {
	Title string `json:"title"`
	Intro string `json:"intro,omitempty"` // Markdown
	// Runs says of each profile how its last run of all cases went, in a sentence.
	Runs map[string]string `json:"runs,omitempty"`
	// PerSeed keeps the results of one case with several seeds side by side, in tables without a section for each.
	PerSeed bool        `json:"per_seed,omitempty"`
	Known   []KnownLoss `json:"known_losses,omitempty"`
	Results []Result    `json:"results"`
}

// maxRanges is how many ranges of numbers of a writer are written down, of each kind.
const maxRanges = 50

// Write writes dir/name.md, dir/name.json and a picture for each result below dir/name, and removes pictures there that
// are of none of them.
func (d Document) Write(dir, name string) error {
	pictures := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !d.PerSeed {
		if err := os.MkdirAll(pictures, 0o755); err != nil {
			return err
		}
	}
	kept := map[string]bool{}
	for _, r := range d.Results {
		if d.PerSeed {
			continue
		}
		file := picture(r)
		if kept[file] {
			return fmt.Errorf("two results of the case %s and the profile %q", r.Case, r.Profile)
		}
		kept[file] = true
		if err := write(filepath.Join(pictures, file), SVG(r)); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(pictures, "*.svg"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if !kept[filepath.Base(path)] {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	encoded, err := json.MarshalIndent(d.trimmed(), "", " ")
	if err != nil {
		return err
	}
	return errors.Join(
		write(filepath.Join(dir, name+".json"), string(encoded)+"\n"),
		write(filepath.Join(dir, name+".md"), d.Markdown(name)),
	)
}

func write(path, text string) error {
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // G306: a document, not a secret
}

// Read reads what Write wrote. A document that was never written is empty.
func Read(dir, name string) (Document, error) {
	var d Document
	text, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	return d, err
}

// Merge returns the document with these results in place of those of the same profile and case, and behind the others. In
// a document of seeds those of another seed stay, too.
func (d Document) Merge(results ...Result) Document {
	d.Results = slices.Clone(d.Results)
	for _, r := range results {
		i := slices.IndexFunc(d.Results, func(old Result) bool {
			return old.Case == r.Case && old.Profile == r.Profile && (!d.PerSeed || old.Seed == r.Seed)
		})
		if i >= 0 {
			d.Results[i] = r
		} else {
			d.Results = append(d.Results, r)
		}
	}
	return d
}

// trimmed bounds what a bad run would fill the file with.
func (d Document) trimmed() Document {
	d.Results = slices.Clone(d.Results)
	for i := range d.Results {
		if d.PerSeed {
			d.Results[i].Series = nil
		}
		d.Results[i].Audits = slices.Clone(d.Results[i].Audits)
		for j := range d.Results[i].Audits {
			audit := &d.Results[i].Audits[j]
			audit.Writers = slices.Clone(audit.Writers)
			for k := range audit.Writers {
				w := &audit.Writers[k]
				w.LostSeqs = w.LostSeqs[:min(len(w.LostSeqs), maxRanges)]
				w.CorruptedSeqs = w.CorruptedSeqs[:min(len(w.CorruptedSeqs), maxRanges)]
				w.DuplicatedSeqs = w.DuplicatedSeqs[:min(len(w.DuplicatedSeqs), maxRanges)]
			}
		}
	}
	return d
}

// picture is the name of the file with the picture of a result.
func picture(r Result) string {
	name := r.Case
	if r.Profile != "" {
		name = r.Profile + "-" + r.Case
	}
	return slug(name) + ".svg"
}

func slug(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, name)
}
