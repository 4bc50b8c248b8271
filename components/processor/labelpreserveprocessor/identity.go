package labelpreserveprocessor

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Exporters to Prometheus (prometheusremotewrite v0.152.0, createAttributes) derive `job` from
// `service.name` and `service.namespace`, and `instance` from `service.instance.id`, where the
// resource has them under these very names, and put the result in the place of a `job` that is
// there. So these names are on the resource of metrics where there is no `job` that could be
// overwritten, and where the result is the `job` that is there, but never where it is not.

// identityRule is one such derivation.
type identityRule struct {
	target         string // the label that is derived
	key, namespace string // the attributes that it is derived from
}

var identityRules = []identityRule{
	{target: "job", key: "service.name", namespace: "service.namespace"},
	{target: "instance", key: "service.instance.id"},
}

// identityForm is the choice of output names of a label on a resource of metrics.
type identityForm int

const (
	asDeclared   identityForm = iota // what is derived, if anything, is what is there
	withIdentity                     // nothing is there: derive it
	withoutIdentity

	identityForms = 3
)

// identity is a rule on a set of labels; -1 stands for a label that is not declared.
type identity struct {
	*identityRule
	targetLabel, keyLabel, namespaceLabel int
}

func newIdentities(keys map[string]labelKey) []identity {
	find := func(key string) int {
		if known, ok := keys[key]; ok && key != "" {
			return known.label
		}
		return -1
	}
	identities := make([]identity, len(identityRules))
	for i := range identityRules {
		rule := &identityRules[i]
		identities[i] = identity{rule, find(rule.target), find(rule.key), find(rule.namespace)}
	}
	return identities
}

// identify sets the outputs of the label on a resource of metrics. The name that exporters
// look for counts as one of its keys if it is the name or an alias of the label.
func (l *label) identify(outputsOf func(names []string) outputs) {
	for i := range identityRules {
		for _, key := range []string{identityRules[i].key, identityRules[i].namespace} {
			if key == "" || !slices.Contains(l.keyNames, key) {
				continue
			}
			l.identity = i
			with, without := l.outs.names, slices.DeleteFunc(slices.Clone(l.outs.names), func(name string) bool { return name == key })
			if len(without) == len(with) {
				with = append(slices.Clone(with), key)
			}
			if len(without) == 0 {
				without = []string{underscored(key)}
			}
			l.identityOuts = [identityForms]outputs{
				asDeclared:      l.outs,
				withIdentity:    outputsOf(with),
				withoutIdentity: outputsOf(without),
			}
			return
		}
	}
}

// form returns how the resource with these attributes must bear the names, when its
// labels have these values.
func (id *identity) form(ls *labelSet, attrs pcommon.Map, values []string) identityForm {
	value := func(label int, key string) string {
		if label >= 0 {
			return values[label]
		}
		if v, ok := attrs.Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	if id.targetLabel >= 0 && !ls.labels[id.targetLabel].at[inResource] {
		// Each record may have a value of its own.
		return withoutIdentity
	}
	target := value(id.targetLabel, id.target)
	if target == "" {
		return withIdentity
	}
	derived := value(id.keyLabel, id.key)
	if derived == "" {
		return asDeclared
	}
	if id.namespace != "" {
		if namespace := value(id.namespaceLabel, id.namespace); namespace != "" {
			rest, ok := strings.CutPrefix(target, namespace)
			if ok {
				target, ok = strings.CutPrefix(rest, "/")
			}
			if !ok {
				return withoutIdentity
			}
		}
	}
	if derived != target {
		return withoutIdentity
	}
	return asDeclared
}

// hide renames the attribute that the exporter would derive from, where it is no declared label.
func (id *identity) hide(attrs pcommon.Map) {
	value, ok := attrs.Get(id.key)
	if !ok {
		return
	}
	text := value.AsString()
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool { return key == id.key })
	name := underscored(id.key)
	if there, taken := attrs.Get(name); !taken {
		attrs.PutStr(name, text)
	} else if there.AsString() != text {
		attrs.PutStr(id.key+".conflict", text)
	}
}
