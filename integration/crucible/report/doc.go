// Package report judges the results of the cases and writes them down: one table in Markdown, one file of JSON, and one
// picture for each case.
//
//	result := report.Result{Case: "consumer-kill", Seed: 7, Profile: "breakwater", …, Audits: []oracle.Report{logs, metrics}}
//	result.Judge(known)                        // sets Verdict and Why from the numbers and the known losses
//	doc := report.Document{Title: …, Intro: …, Results: results}
//	err := doc.Write("docs", "crucible")       // docs/crucible.md, docs/crucible.json, docs/crucible/<case>.svg
//	old, err := report.Read("docs", "crucible")
//	doc = old.Merge(results...)                // replaces those of the same profile and case, keeps the others
//
// What is written is the same, byte for byte, for the same Document. SVG(result) is one picture, Table(results) the
// table alone, for the terminal.
//
// # Known losses
//
// A KnownLoss names a case, the profile it is about, the cause and which numbers may not be 0. Judge gives one of:
//
//	Holds        nothing lost, corrupted, mislabelled, retimed or unwritten, and nothing else that the case forbids
//	KnownFailure all that is wrong is in the list of known losses
//	Fails        something is wrong that the list does not have
//	Stale        the list has a loss that did not happen: the entry must go
//
// Verdict.OK is true for the first two. So the list can only shrink. CheckKnown refuses entries of cases that do not
// exist and entries that say no cause.
//
// # Backlog
//
// Series is sampled by the caller: time since the beginning, records written and stored so far, and the backlog, which
// may be the lag of a consumer group or the difference of the two. Recovery(series, fault) is when the backlog was back to
// what it was before the fault.
package report
