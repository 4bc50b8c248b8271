package monitoring

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/plot"
	pack "github.com/breakwater-otel/breakwater/monitoring"
)

// fault is a time in which something was broken.
type fault struct {
	name     string
	from, to time.Time
}

// A picture has two graphs beside each other, as the dashboards have.
const (
	cellWidth  = 460
	cellHeight = 190
	plotLeft   = 62.0
	plotRight  = 446.0
	plotTop    = 46.0
	plotBottom = 140.0
	columns    = 2
	most       = 7  // lines of a graph, which is as many colours as there are
	headHeight = 62 // title and faults
)

// colours of lines, each in a light and a dark page.
var colours = [most][2]string{
	{"#0969da", "#58a6ff"}, {"#bc4c00", "#ffa657"}, {"#1a7f37", "#56d364"}, {"#8250df", "#bc8cff"},
	{"#bf3989", "#ff9bce"}, {"#9a6700", "#e3b341"}, {"#57606a", "#8b949e"},
}

// draw writes a picture of the graphs of each dashboard, of what VictoriaMetrics returns for them.
func (s *site) draw(t *testing.T, from, to time.Time, faults []fault) {
	dir := filepath.Join(root(t), "docs", "monitoring")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, d := range pack.Dashboards() {
		file := filepath.Join(dir, strings.TrimPrefix(d.UID, "breakwater-")+".svg")
		require.NoError(t, os.WriteFile(file, []byte(s.picture(t, d, from, to, faults)), 0o644)) //nolint:gosec // it is committed
	}
}

func (s *site) picture(t *testing.T, d pack.Dashboard, from, to time.Time, faults []fault) string {
	var graphs []pack.Panel
	for _, p := range d.Panels() {
		if p.Kind == pack.Graph {
			graphs = append(graphs, p)
		}
	}
	rows := (len(graphs) + columns - 1) / columns
	width, height := columns*cellWidth, headHeight+rows*cellHeight
	var light, dark strings.Builder
	for i, c := range colours {
		fmt.Fprintf(&light, ".l%d{stroke:%s}", i, c[0])
		fmt.Fprintf(&dark, ".l%d{stroke:%s}", i, c[1])
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(d.Title))
	b.WriteString(plot.Style(".l{fill:none;stroke-width:1.6}"+light.String(), dark.String()))
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	text(&b, 16, 24, "h", d.Title)
	var named []string
	for i, f := range faults {
		named = append(named, fmt.Sprintf("%d %s", i+1, f.name))
	}
	text(&b, 16, 44, "s", "Faults: "+strings.Join(named, " · "))
	for i, p := range graphs {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%columns*cellWidth, headHeight+i/columns*cellHeight)
		s.graph(t, &b, p, from, to, faults)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// graph draws one panel at the origin.
func (s *site) graph(t *testing.T, b *strings.Builder, p pack.Panel, from, to time.Time, faults []fault) {
	type named struct {
		name  string
		parts [][]plot.XY
	}
	var lines []named
	var all [][]plot.XY
	for _, q := range p.Queries {
		series, err := s.metrics.QueryRange(t.Context(), forTest.Replace(q.Expr), from, to, time.Second)
		require.NoError(t, err)
		for _, one := range series {
			line := named{name: legend(q.Legend, one.Labels)}
			last := int64(0)
			for i, v := range one.Values {
				// Where there was nothing, there is no line.
				if at := one.Timestamps[i]; len(line.parts) == 0 || at-last > 2000 {
					line.parts = append(line.parts, nil)
				}
				last = one.Timestamps[i]
				part := &line.parts[len(line.parts)-1]
				*part = append(*part, plot.XY{X: float64(last-from.UnixMilli()) / 1000, Y: v})
			}
			all = append(all, line.parts...)
			lines = append(lines, line)
		}
	}
	x := plot.Scale{To: to.Sub(from).Seconds(), Low: plotLeft, High: plotRight}
	y := plot.Scale{To: plot.Top(all...), Low: plotBottom, High: plotTop}
	text(b, 16, 16, "", p.Title)
	text(b, plotRight, 16, "s e", unitOf[p.Unit])
	for i, f := range faults {
		left, right := x.At(f.from.Sub(from).Seconds()), x.At(f.to.Sub(from).Seconds())
		fmt.Fprintf(b, `<rect class="f" x="%s" y="%s" width="%s" height="%s"/>`+"\n",
			plot.Decimal(left), plot.Decimal(plotTop), plot.Decimal(right-left), plot.Decimal(plotBottom-plotTop))
		text(b, (left+right)/2, plotTop-4, "ft m", fmt.Sprint(i+1))
	}
	for _, v := range plot.Ticks(y.To, 3) {
		fmt.Fprintf(b, `<line class="g" x1="%s" x2="%s" y1="%[3]s" y2="%[3]s"/>`+"\n", plot.Decimal(plotLeft), plot.Decimal(plotRight), plot.Decimal(y.At(v)))
		text(b, plotLeft-6, y.At(v)+4, "s e", plot.Amount(v))
	}
	for _, v := range plot.Ticks(x.To, 6) {
		text(b, x.At(v), plotBottom+14, "s m", plot.Amount(v)+" s")
	}
	at := 16.0
	for i, line := range lines[:min(len(lines), most)] {
		for _, part := range line.parts {
			fmt.Fprintf(b, `<path class="l l%d" d="M%s"/>`+"\n", i, plot.Line(part, x, y))
		}
		name := plot.Short(line.name, 20)
		if at+float64(6*len(name)) < cellWidth-40 {
			fmt.Fprintf(b, `<line class="l l%d" x1="%s" x2="%s" y1="164" y2="164"/>`+"\n", i, plot.Decimal(at), plot.Decimal(at+14))
			text(b, at+18, 168, "s", name)
			at += float64(6*len(name)) + 30
		}
	}
	if more := len(lines) - most; more > 0 {
		text(b, plotRight, plotTop+10, "s e", fmt.Sprintf("and %d more", more))
	}
}

var unitOf = map[pack.Unit]string{
	pack.Count: "", pack.PerSecond: "1/s", pack.Seconds: "seconds", pack.Bytes: "bytes", pack.Percent: "1 is 100 %",
}

// absent are labels that a series has not.
var absent = regexp.MustCompile(`\{\{\w+\}\}`)

// legend puts the labels of a series into Grafana's format.
func legend(format string, labels harness.Series) string {
	for name, value := range labels {
		format = strings.ReplaceAll(format, "{{"+name+"}}", value)
	}
	return strings.TrimSpace(absent.ReplaceAllString(format, ""))
}

func text(b *strings.Builder, x, y float64, class, text string) {
	fmt.Fprintf(b, `<text x="%s" y="%s" class="t %s">%s</text>`+"\n", plot.Decimal(x), plot.Decimal(y), class, html.EscapeString(text))
}
