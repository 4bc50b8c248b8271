package monitoring

// Unit is a unit of Grafana.
type Unit string

// The units that panels have.
const (
	Count     Unit = "short"
	PerSecond Unit = "cps" // counts a second
	Seconds   Unit = "s"
	Bytes     Unit = "bytes"
	Percent   Unit = "percentunit" // 1 is 100 %
)

// Kind is how a panel shows its values.
type Kind string

// The kinds of panels.
const (
	Graph  Kind = "timeseries" // over time
	Number Kind = "stat"       // the last value
)

// Query is a line of a panel.
type Query struct {
	// Expr is PromQL with the variables of the dashboard and Grafana's $__rate_interval.
	Expr string
	// Legend is Grafana's format of a series' name.
	Legend string
}

// Panel is one picture of a dashboard.
type Panel struct {
	Title string
	// Means is what is to be seen, Do is what to do when it is not as it should be.
	Means, Do string
	Kind      Kind
	Unit      Unit
	Queries   []Query
	// Warn and Bad are the values from which a number is yellow and red; 0: none. With
	// Low they are those up to which it is.
	Warn, Bad float64
	Low       bool
}

// Row is a titled group of panels.
type Row struct {
	Title  string
	Panels []Panel
}

// Variable is a choice at the top of a dashboard: among the values that a label of some series has.
type Variable struct {
	Name, Label, Of string
}

// Dashboard is a page of Grafana.
type Dashboard struct {
	// UID is what links point to, and the name of its file. It never changes.
	UID         string
	Title       string
	Description string
	Variables   []Variable
	Rows        []Row
}

// Dashboards returns all of them, the overview first.
func Dashboards() []Dashboard {
	return []Dashboard{overview(), agents(), kafka(), consumer(), backends(), ledger()}
}

// Panels returns the panels of all rows.
func (d Dashboard) Panels() []Panel {
	var all []Panel
	for _, row := range d.Rows {
		all = append(all, row.Panels...)
	}
	return all
}
