package labelpreserveprocessor

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A string value of pdata is a pointer to a struct that holds the string, one allocation
// for each value. A label has the same value on thousands of records, so they share it:
// pdata never changes such a struct, every setter puts another one in its place. What
// pcommon does not offer is to say so; sharedValues does it for it and only where it has
// been found to be as it is here.

// valueLayout is pcommon.Value: a pointer to the value, and its state.
type valueLayout struct {
	value *struct{ held any }
	state unsafe.Pointer
}

// share makes to the same string value as from, which is one.
func share(from, to pcommon.Value) {
	(*valueLayout)(unsafe.Pointer(&to)).value.held = (*valueLayout)(unsafe.Pointer(&from)).value.held
}

// poolingGate makes pdata take such structs back and use them again, which ends the sharing.
const poolingGate = "pdata.useProtoPooling"

// canShare reports whether this version of pdata is built as share needs it.
func canShare() bool {
	pooled := false
	featuregate.GlobalRegistry().VisitAll(func(gate *featuregate.Gate) {
		pooled = pooled || (gate.ID() == poolingGate && gate.IsEnabled())
	})
	return !pooled && layoutIsKnown() && stringsAreReplaced()
}

func layoutIsKnown() bool {
	value := reflect.TypeFor[pcommon.Value]()
	if value.Kind() != reflect.Struct || value.NumField() != 2 || value.Size() != unsafe.Sizeof(valueLayout{}) ||
		value.Field(0).Type.Kind() != reflect.Pointer || value.Field(1).Type.Kind() != reflect.Pointer {
		return false
	}
	held := value.Field(0).Type.Elem()
	return held.Kind() == reflect.Struct && held.NumField() == 1 && held.Field(0).Type == reflect.TypeFor[any]()
}

// stringsAreReplaced tries it: what is set on one of two that share is not seen on the other.
func stringsAreReplaced() bool {
	from, to := pcommon.NewValueStr("shared"), pcommon.NewValueEmpty()
	share(from, to)
	if to.Type() != pcommon.ValueTypeStr || to.Str() != "shared" {
		return false
	}
	to.SetStr("changed")
	if from.Str() != "shared" {
		return false
	}
	share(from, to)
	from.SetStr("changed")
	return to.Str() == "shared"
}

// sharedValue is the value that a label had last, for the records to share.
type sharedValue struct {
	text  string
	value pcommon.Value
}

// sharedValues has one for each label, or is nil where values cannot be shared.
type sharedValues []sharedValue

func newSharedValues(labels int) sharedValues {
	shared := make(sharedValues, labels)
	for i := range shared {
		shared[i].value = pcommon.NewValueStr("")
	}
	return shared
}

// put sets key, which is not in attrs, to the value of label i. One value a label is kept
// from batch to batch.
func (s sharedValues) put(attrs pcommon.Map, key string, i int, value string) {
	if s == nil {
		attrs.PutStr(key, value)
		return
	}
	if s[i].text != value {
		s[i].value.SetStr(value)
		s[i].text = value
	}
	share(s[i].value, attrs.PutEmpty(key))
}
