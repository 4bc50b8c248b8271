// Package plot has what the pictures of the documents are drawn with: scales, the points of a line, and the style, which
// follows the reader's scheme of colours.
package plot

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

const maxPoints = 400 // of a line

// Style are the classes of the texts, the grid and the shaded times of faults. The background is drawn, so that a picture
// is right also where the page around it has another one. Further rules of a picture go in as light and dark ones.
func Style(light, dark string) string {
	return `<style>
.bg{fill:#ffffff}.t{fill:#1f2328;font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
.h{font-size:15px;font-weight:600}.s{fill:#59636e;font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}
.g{stroke:#d1d9e0;stroke-width:1}.a{stroke:#818b98;stroke-width:1}
.f{fill:#cf222e;fill-opacity:.13}.fl{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:4 3}.ft{fill:#cf222e;font-size:11px;font-weight:600}
` + light + `
@media (prefers-color-scheme:dark){
.bg{fill:#0d1117}.t{fill:#f0f6fc}.s{fill:#9198a1}.g{stroke:#30363d}.a{stroke:#656c76}
.f{fill:#f85149;fill-opacity:.22}.fl{stroke:#f85149}.ft{fill:#ff7b72}
` + dark + `}
</style>
`
}

// XY is a point.
type XY struct{ X, Y float64 }

// Scale places the values From..To at Low..High.
type Scale struct{ From, To, Low, High float64 }

// At is the place of a value.
func (s Scale) At(v float64) float64 { return s.Low + (v-s.From)/(s.To-s.From)*(s.High-s.Low) }

// Top is the end of a scale: a little above the highest value, and at least 1.
func Top(lines ...[]XY) float64 {
	highest := 1.0
	for _, line := range lines {
		for _, p := range line {
			highest = math.Max(highest, p.Y)
		}
	}
	return highest * 1.06
}

// Line returns the points of a path. Of more than maxPoints, the highest and the lowest of each stretch are kept.
func Line(points []XY, x, y Scale) string {
	if stretch := (2*len(points) + maxPoints - 1) / maxPoints; stretch > 2 {
		var kept []XY
		for part := range slices.Chunk(points, stretch) {
			low, high := part[0], part[0]
			for _, p := range part {
				if p.Y < low.Y {
					low = p
				}
				if p.Y > high.Y {
					high = p
				}
			}
			if low.X > high.X {
				low, high = high, low
			}
			kept = append(kept, low, high)
		}
		points = kept
	}
	texts := make([]string, 0, len(points))
	for _, p := range points {
		texts = append(texts, Decimal(x.At(p.X))+" "+Decimal(y.At(p.Y)))
	}
	return strings.Join(texts, "L")
}

// Ticks gives round values from 0 to the highest, about n of them.
func Ticks(highest float64, n int) []float64 {
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

// Amount writes a number in few characters.
func Amount(v float64) string {
	switch {
	case v >= 1e9:
		return strconv.FormatFloat(v/1e9, 'f', -1, 64) + " G"
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + " k"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Decimal writes a coordinate, to a tenth.
func Decimal(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// Short cuts a text.
func Short(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
