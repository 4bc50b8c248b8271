package liveextension

import (
	"fmt"
	"slices"
	"strings"
)

// The drawing of a curve, in the units of its viewBox.
const (
	curveWidth  = 100.0
	curveHeight = 28.0
	curveMargin = 2.0 // above and below, for the width of the line
)

// curve is a small picture of a figure over time.
type curve struct {
	Line, Area string // paths; empty: there is too little to draw
	Label      string // for those who do not see it
	Caption    string
}

// curveOf draws values, the oldest first, from 0 to their largest.
func curveOf(name string, values []float64, text func(float64) string) curve {
	if len(values) < 2 {
		return curve{Caption: name}
	}
	top := slices.Max(values)
	var line strings.Builder
	for i, v := range values {
		x := curveWidth * float64(i) / float64(len(values)-1)
		y := curveHeight - curveMargin
		if top > 0 {
			y -= (curveHeight - 2*curveMargin) * max(0, v) / top
		}
		fmt.Fprintf(&line, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
	}
	now := values[len(values)-1]
	if top == 0 {
		// Without a zero in the units of what never was.
		return curve{Line: line.String(), Label: name + ": 0 all the time", Caption: name + "; 0 all the time"}
	}
	return curve{
		Line:    line.String(),
		Area:    fmt.Sprintf("%sL%.0f %.0fL0 %.0fZ", line.String(), curveWidth, curveHeight, curveHeight),
		Label:   fmt.Sprintf("%s: now %s, at most %s", name, text(now), text(top)),
		Caption: fmt.Sprintf("%s; at most %s", name, text(top)),
	}
}
