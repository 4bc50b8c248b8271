package recordfilereceiver

import "bytes"

// assembler makes records of chunks, by the verdicts that the splitter cut them by. Not safe for concurrent use.
type assembler struct {
	decoder decoder
	tracer  tracer
	texts   [streamCount][]byte // scratch
}

// sink takes what an assembler finds.
type sink interface {
	// begin announces a record at the place of its first line, and returns what its text is handed to at its end.
	begin(first *line) func(text []byte)
	emptyLine()
	undecodedLine()
}

// assemble hands the records of a chunk to the sink, in the order of their first lines.
func (a *assembler) assemble(chunk []byte, to sink) {
	g := grouper{tracer: a.tracer}
	var ends [streamCount]func([]byte)
	var joinsLine [streamCount]bool // the next piece goes on with the same line
	end := func(s streamID) {
		if ends[s] != nil {
			// Empty lines in a trace are a part of it, those after it are not.
			ends[s](bytes.TrimRight(a.texts[s], "\n"))
			ends[s] = nil
		}
	}
	for len(chunk) > 0 {
		raw, rest, _ := bytes.Cut(chunk, []byte{'\n'})
		chunk = rest
		l := a.decoder.decode(raw)
		if l.undecoded && len(l.text) > 0 {
			to.undecodedLine()
		}
		v := g.add(&l)
		if v.boundary {
			end(stdout)
			end(stderr)
		}
		if v.continues {
			if !joinsLine[l.stream] {
				a.texts[l.stream] = append(a.texts[l.stream], '\n')
			}
			a.texts[l.stream] = append(a.texts[l.stream], l.text...)
			joinsLine[l.stream] = l.partial
			continue
		}
		end(l.stream)
		if v.empty {
			to.emptyLine()
			continue
		}
		ends[l.stream] = to.begin(&l)
		a.texts[l.stream] = append(a.texts[l.stream][:0], l.text...)
		joinsLine[l.stream] = l.partial
	}
	end(stdout)
	end(stderr)
}
