package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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

	maxPoints   = 400 // of a line
	captionRune = 108 // of a line of text
	captionMost = 2   // lines
)

// style follows the reader's scheme of colours. The background is drawn, so that the picture is right also where the page
// around it has another one.
const style = `<style>
.bg{fill:#ffffff}.t{fill:#1f2328;font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
.h{font-size:15px;font-weight:600}.s{fill:#59636e;font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}
.g{stroke:#d1d9e0;stroke-width:1}.a{stroke:#818b98;stroke-width:1}
.f{fill:#cf222e;fill-opacity:.13}.fl{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:4 3}.ft{fill:#cf222e;font-size:11px;font-weight:600}
.w{fill:none;stroke:#54aeff;stroke-width:4}.st{fill:none;stroke:#bc4c00;stroke-width:1.6}
.b{fill:#8250df;fill-opacity:.25}.bl{fill:none;stroke:#8250df;stroke-width:1.5}
@media (prefers-color-scheme:dark){
.bg{fill:#0d1117}.t{fill:#f0f6fc}.s{fill:#9198a1}.g{stroke:#30363d}.a{stroke:#656c76}
.f{fill:#f85149;fill-opacity:.22}.fl{stroke:#f85149}.ft{fill:#ff7b72}
.w{stroke:#1f6feb}.st{stroke:#ffa657}.b{fill:#ab7df8;fill-opacity:.3}.bl{stroke:#ab7df8}}
</style>
`

// SVG draws the records written and stored a second, and the backlog, over time, with the faults shaded.
func SVG(r Result) string {
	rates, last := rate(r.Series)
	end := math.Max(1, last)
	for _, f := range r.Faults {
		end = math.Max(end, f.To)
	}
	var backlog []xy
	for _, p := range r.Series {
		backlog = append(backlog, xy{p.Seconds, float64(p.Backlog)})
	}
	x := scale{0, end, plotLeft, plotRight}
	up := scale{0, top(rates.written, rates.stored), rateBottom, rateTop}
	back := scale{0, top(backlog), backBottom, backTop}

	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	text := func(x, y float64, class, text string) {
		draw(`<text x="%s" y="%s" class="t %s">%s</text>`, decimal(x), decimal(y), class, html.EscapeString(text))
	}
	title := r.Case
	if r.Profile != "" {
		title += " (" + r.Profile + ")"
	}
	draw(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		width, height, width, height, html.EscapeString(title+": records a second and backlog over time"))
	b.WriteString(style)
	draw(`<rect class="bg" width="%d" height="%d"/>`, width, height)
	text(16, 24, "h", short(title, 80))
	for i, line := range caption(r.Faults) {
		text(16, 42+14*float64(i), "s", line)
	}

	for i, f := range r.Faults {
		from, to := x.at(math.Max(0, f.From)), x.at(f.To)
		for _, plot := range [][2]float64{{rateTop, rateBottom}, {backTop, backBottom}} {
			if to-from > 1 {
				draw(`<rect class="f" x="%s" y="%s" width="%s" height="%s"/>`,
					decimal(from), decimal(plot[0]), decimal(to-from), decimal(plot[1]-plot[0]))
			} else {
				draw(`<line class="fl" x1="%[1]s" x2="%[1]s" y1="%[2]s" y2="%[3]s"/>`, decimal(from), decimal(plot[0]), decimal(plot[1]))
			}
		}
		// Of many faults, the numbers would lie one on the other.
		if len(r.Faults) <= 12 {
			text((from+math.Max(from, to))/2, rateTop-4, "ft m", strconv.Itoa(i+1))
		}
	}
	axis := func(s scale, name string) {
		for _, v := range ticks(s.to, 4) {
			y := s.at(v)
			draw(`<line class="g" x1="%d" x2="%d" y1="%[3]s" y2="%[3]s"/>`, plotLeft, plotRight, decimal(y))
			text(plotLeft-8, y+4, "s e", amount(v))
		}
		draw(`<line class="a" x1="%[1]d" x2="%[1]d" y1="%[2]s" y2="%[3]s"/>`, plotLeft, decimal(s.low), decimal(s.high))
		middle := decimal((s.low + s.high) / 2)
		draw(`<text x="16" y="%[1]s" class="t s m" transform="rotate(-90 16 %[1]s)">%[2]s</text>`, middle, name)
	}
	axis(up, "records / s")
	axis(back, "records")
	for _, v := range ticks(end, 8) {
		draw(`<line class="a" x1="%[1]s" x2="%[1]s" y1="%[2]d" y2="%[3]d"/>`, decimal(x.at(v)), backBottom, backBottom+4)
		text(x.at(v), backBottom+17, "s m", amount(v))
	}
	text((plotLeft+plotRight)/2, height-8, "s m", "time, seconds")

	if len(backlog) > 0 {
		draw(`<path class="b" d="M%s %sL%s L%s %sZ"/>`, decimal(x.at(backlog[0].x)), decimal(back.at(0)),
			line(backlog, x, back), decimal(x.at(backlog[len(backlog)-1].x)), decimal(back.at(0)))
		draw(`<path class="bl" d="M%s"/>`, line(backlog, x, back))
	}
	if len(rates.written) > 0 {
		draw(`<path class="w" d="M%s"/>`, line(rates.written, x, up))
		draw(`<path class="st" d="M%s"/>`, line(rates.stored, x, up))
	}

	// In the gap between the plots, at its right end.
	const legend = rateBottom + 16
	at := 404.0
	for _, entry := range []struct{ class, text string }{{"w", "written"}, {"st", "stored"}, {"b", "backlog"}, {"f", "fault"}} {
		if entry.class == "w" || entry.class == "st" {
			draw(`<line class="%s" x1="%s" x2="%s" y1="%[4]d" y2="%[4]d"/>`, entry.class, decimal(at), decimal(at+18), legend)
		} else {
			draw(`<rect class="%s" x="%s" y="%d" width="18" height="10"/>`, entry.class, decimal(at), legend-5)
		}
		text(at+24, legend+4, "s", entry.text)
		at += 74
	}
	b.WriteString("</svg>\n")
	return b.String()
}

type xy struct{ x, y float64 }

type throughput struct{ written, stored []xy }

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
		t.written = append(t.written, xy{p.Seconds, per(series[from].Written, p.Written)})
		t.stored = append(t.stored, xy{p.Seconds, per(series[from].Stored, p.Stored)})
	}
	return t, last
}

// top is the end of a scale: a little above the highest value, and at least 1.
func top(lines ...[]xy) float64 {
	highest := 1.0
	for _, line := range lines {
		for _, p := range line {
			highest = math.Max(highest, p.y)
		}
	}
	return highest * 1.06
}

// line returns the points of a path. Of more than maxPoints, the highest and the lowest of each stretch are kept.
func line(points []xy, x, y scale) string {
	if stretch := (2*len(points) + maxPoints - 1) / maxPoints; stretch > 2 {
		var kept []xy
		for part := range slices.Chunk(points, stretch) {
			low, high := part[0], part[0]
			for _, p := range part {
				if p.y < low.y {
					low = p
				}
				if p.y > high.y {
					high = p
				}
			}
			if low.x > high.x {
				low, high = high, low
			}
			kept = append(kept, low, high)
		}
		points = kept
	}
	texts := make([]string, 0, len(points))
	for _, p := range points {
		texts = append(texts, decimal(x.at(p.x))+" "+decimal(y.at(p.y)))
	}
	return strings.Join(texts, "L")
}

// scale places the values from..to at low..high.
type scale struct{ from, to, low, high float64 }

func (s scale) at(v float64) float64 { return s.low + (v-s.from)/(s.to-s.from)*(s.high-s.low) }

// ticks gives round values from 0 to the highest, about n of them.
func ticks(highest float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(highest/float64(n))))
	for _, factor := range []float64{1, 2, 5, 10} {
		if highest/(step*factor) <= float64(n) {
			step *= factor
			break
		}
	}
	var values []float64
	for i := 0; float64(i)*step <= highest*(1+1e-9); i++ {
		values = append(values, float64(i)*step)
	}
	return values
}

// amount writes a number in few characters.
func amount(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + " k"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// decimal writes a coordinate, to a tenth.
func decimal(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// caption names the faults by their numbers in the picture, in as many lines as there is room for.
func caption(faults []Window) []string {
	var lines []string
	current := ""
	for i, f := range faults {
		item := fmt.Sprintf("%d %s", i+1, f.Name)
		joined := current + " · " + item
		if current == "" {
			joined = short(item, captionRune)
		}
		if utf8.RuneCountInString(joined) <= captionRune {
			current = joined
			continue
		}
		if len(lines) == captionMost-1 {
			return append(lines, short(joined, captionRune))
		}
		lines = append(lines, current)
		current = short(item, captionRune)
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}

// short cuts a text.
func short(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
