package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/breakwater-otel/breakwater/integration/plot"
)

// A picture is 700 units wide, the width at which it is read, and has two plots above one axis of time.
const (
	width      = 700
	plotLeft   = 64
	plotRight  = 686
	rateTop    = 84
	rateBottom = 208
	backTop    = 240
	backBottom = 330
	height     = 372

	captionRune = 108 // of a line of text
	captionMost = 2   // lines
)

// style is that of the three lines.
var style = plot.Style(
	`.w{fill:none;stroke:#54aeff;stroke-width:4}.st{fill:none;stroke:#bc4c00;stroke-width:1.6}
.b{fill:#8250df;fill-opacity:.25}.bl{fill:none;stroke:#8250df;stroke-width:1.5}`,
	`.w{stroke:#1f6feb}.st{stroke:#ffa657}.b{fill:#ab7df8;fill-opacity:.3}.bl{stroke:#ab7df8}`)

// SVG draws the records written and stored a second, and the backlog, over time, with the faults shaded.
func SVG(r Result) string {
	rates, last := rate(r.Series)
	end := math.Max(1, last)
	for _, f := range r.Faults {
		end = math.Max(end, f.To)
	}
	var backlog []plot.XY
	for _, p := range r.Series {
		backlog = append(backlog, plot.XY{X: p.Seconds, Y: float64(p.Backlog)})
	}
	x := plot.Scale{To: end, Low: plotLeft, High: plotRight}
	up := plot.Scale{To: plot.Top(rates.written, rates.stored), Low: rateBottom, High: rateTop}
	back := plot.Scale{To: plot.Top(backlog), Low: backBottom, High: backTop}

	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	text := func(x, y float64, class, text string) {
		draw(`<text x="%s" y="%s" class="t %s">%s</text>`, plot.Decimal(x), plot.Decimal(y), class, html.EscapeString(text))
	}
	title := r.Case
	if r.Profile != "" {
		title += " (" + r.Profile + ")"
	}
	draw(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		width, height, width, height, html.EscapeString(title+": records a second and backlog over time"))
	b.WriteString(style)
	draw(`<rect class="bg" width="%d" height="%d"/>`, width, height)
	text(16, 24, "h", plot.Short(title, 80))
	for i, line := range caption(r.Faults) {
		text(16, 42+14*float64(i), "s", line)
	}

	for i, f := range r.Faults {
		from, to := x.At(math.Max(0, f.From)), x.At(f.To)
		for _, part := range [][2]float64{{rateTop, rateBottom}, {backTop, backBottom}} {
			if to-from > 1 {
				draw(`<rect class="f" x="%s" y="%s" width="%s" height="%s"/>`,
					plot.Decimal(from), plot.Decimal(part[0]), plot.Decimal(to-from), plot.Decimal(part[1]-part[0]))
			} else {
				draw(`<line class="fl" x1="%[1]s" x2="%[1]s" y1="%[2]s" y2="%[3]s"/>`, plot.Decimal(from), plot.Decimal(part[0]), plot.Decimal(part[1]))
			}
		}
		// Of many faults, the numbers would lie one on the other.
		if len(r.Faults) <= 12 {
			text((from+math.Max(from, to))/2, rateTop-4, "ft m", strconv.Itoa(i+1))
		}
	}
	axis := func(s plot.Scale, name string) {
		for _, v := range plot.Ticks(s.To, 4) {
			y := s.At(v)
			draw(`<line class="g" x1="%d" x2="%d" y1="%[3]s" y2="%[3]s"/>`, plotLeft, plotRight, plot.Decimal(y))
			text(plotLeft-8, y+4, "s e", plot.Amount(v))
		}
		draw(`<line class="a" x1="%[1]d" x2="%[1]d" y1="%[2]s" y2="%[3]s"/>`, plotLeft, plot.Decimal(s.Low), plot.Decimal(s.High))
		middle := plot.Decimal((s.Low + s.High) / 2)
		draw(`<text x="16" y="%[1]s" class="t s m" transform="rotate(-90 16 %[1]s)">%[2]s</text>`, middle, name)
	}
	axis(up, "records / s")
	axis(back, "records")
	for _, v := range plot.Ticks(end, 8) {
		draw(`<line class="a" x1="%[1]s" x2="%[1]s" y1="%[2]d" y2="%[3]d"/>`, plot.Decimal(x.At(v)), backBottom, backBottom+4)
		text(x.At(v), backBottom+17, "s m", plot.Amount(v))
	}
	text((plotLeft+plotRight)/2, height-8, "s m", "time, seconds")

	if len(backlog) > 0 {
		draw(`<path class="b" d="M%s %sL%s L%s %sZ"/>`, plot.Decimal(x.At(backlog[0].X)), plot.Decimal(back.At(0)),
			plot.Line(backlog, x, back), plot.Decimal(x.At(backlog[len(backlog)-1].X)), plot.Decimal(back.At(0)))
		draw(`<path class="bl" d="M%s"/>`, plot.Line(backlog, x, back))
	}
	if len(rates.written) > 0 {
		draw(`<path class="w" d="M%s"/>`, plot.Line(rates.written, x, up))
		draw(`<path class="st" d="M%s"/>`, plot.Line(rates.stored, x, up))
	}

	// In the gap between the plots, at its right end.
	const legend = rateBottom + 16
	at := 404.0
	for _, entry := range []struct{ class, text string }{{"w", "written"}, {"st", "stored"}, {"b", "backlog"}, {"f", "fault"}} {
		if entry.class == "w" || entry.class == "st" {
			draw(`<line class="%s" x1="%s" x2="%s" y1="%[4]d" y2="%[4]d"/>`, entry.class, plot.Decimal(at), plot.Decimal(at+18), legend)
		} else {
			draw(`<rect class="%s" x="%s" y="%d" width="18" height="10"/>`, entry.class, plot.Decimal(at), legend-5)
		}
		text(at+24, legend+4, "s", entry.text)
		at += 74
	}
	b.WriteString("</svg>\n")
	return b.String()
}

type throughput struct{ written, stored []plot.XY }

// rateWindow is over how many seconds a rate is taken: shorter ones would show how the samples fall, not what flows.
const rateWindow = 1.0

// rate gives what was written and stored a second, and the time of the last point.
func rate(series []Point) (throughput, float64) {
	var t throughput
	last := 0.0
	for i, from := 0, 0; i < len(series); i++ {
		p := series[i]
		last = p.Seconds
		for from+1 < i && p.Seconds-series[from+1].Seconds >= rateWindow {
			from++
		}
		span := p.Seconds - series[from].Seconds
		if span <= 0 {
			continue
		}
		// A backend that has lost something has less than before. That is no rate.
		per := func(a, b int64) float64 { return math.Max(0, float64(b-a)) / span }
		t.written = append(t.written, plot.XY{X: p.Seconds, Y: per(series[from].Written, p.Written)})
		t.stored = append(t.stored, plot.XY{X: p.Seconds, Y: per(series[from].Stored, p.Stored)})
	}
	return t, last
}

// caption names the faults by their numbers in the picture, in as many lines as there is room for.
func caption(faults []Window) []string {
	var lines []string
	current := ""
	for i, f := range faults {
		item := fmt.Sprintf("%d %s", i+1, f.Name)
		joined := current + " · " + item
		if current == "" {
			joined = plot.Short(item, captionRune)
		}
		if utf8.RuneCountInString(joined) <= captionRune {
			current = joined
			continue
		}
		if len(lines) == captionMost-1 {
			return append(lines, plot.Short(joined, captionRune))
		}
		lines = append(lines, current)
		current = plot.Short(item, captionRune)
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}
