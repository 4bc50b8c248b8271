package otlpview

// Tags of the fields of each message, and the highest number of its fields that
// the decoder or upstream knows. From
// https://github.com/open-telemetry/opentelemetry-proto/tree/v1.10.0/opentelemetry/proto
// and the generated UnmarshalProto of go.opentelemetry.io/collector/pdata/internal.
const (
	// LogsData and ExportLogsServiceRequest.
	tagResourceLogs = 1<<wireTypeBits | wireLen
	lastLogsField   = 1

	// ResourceLogs.
	tagResource           = 1<<wireTypeBits | wireLen
	tagScopeLogs          = 2<<wireTypeBits | wireLen
	tagResourceSchemaURL  = 3<<wireTypeBits | wireLen
	lastResourceLogsField = 3
	// Where logs were before OTLP 0.15. pdata keeps them aside.
	deprecatedScopeLogsField = 1000

	// Resource.
	tagResourceAttributes = 1<<wireTypeBits | wireLen
	tagResourceDropped    = 2<<wireTypeBits | wireVarint
	tagEntityRefs         = 3<<wireTypeBits | wireLen
	lastResourceField     = 3

	// EntityRef.
	tagEntitySchemaURL       = 1<<wireTypeBits | wireLen
	tagEntityType            = 2<<wireTypeBits | wireLen
	tagEntityIDKeys          = 3<<wireTypeBits | wireLen
	tagEntityDescriptionKeys = 4<<wireTypeBits | wireLen
	lastEntityRefField       = 4

	// ScopeLogs.
	tagScope           = 1<<wireTypeBits | wireLen
	tagLogRecords      = 2<<wireTypeBits | wireLen
	tagScopeSchemaURL  = 3<<wireTypeBits | wireLen
	lastScopeLogsField = 3

	// InstrumentationScope.
	tagScopeName       = 1<<wireTypeBits | wireLen
	tagScopeVersion    = 2<<wireTypeBits | wireLen
	tagScopeAttributes = 3<<wireTypeBits | wireLen
	tagScopeDropped    = 4<<wireTypeBits | wireVarint
	lastScopeField     = 4

	// LogRecord.
	tagTime             = 1<<wireTypeBits | wireI64
	tagSeverityNumber   = 2<<wireTypeBits | wireVarint
	tagSeverityText     = 3<<wireTypeBits | wireLen
	tagBody             = 5<<wireTypeBits | wireLen
	tagRecordAttributes = 6<<wireTypeBits | wireLen
	tagRecordDropped    = 7<<wireTypeBits | wireVarint
	tagFlags            = 8<<wireTypeBits | wireI32
	tagTraceID          = 9<<wireTypeBits | wireLen
	tagSpanID           = 10<<wireTypeBits | wireLen
	tagObservedTime     = 11<<wireTypeBits | wireI64
	tagEventName        = 12<<wireTypeBits | wireLen
	lastRecordField     = 12

	// KeyValue. Field 3 is key_strindex, which only profiles have.
	tagKey            = 1<<wireTypeBits | wireLen
	tagValue          = 2<<wireTypeBits | wireLen
	lastKeyValueField = 3

	// AnyValue. Field 8 is string_value_strindex, which only profiles have.
	tagString         = 1<<wireTypeBits | wireLen
	tagBool           = 2<<wireTypeBits | wireVarint
	tagInt            = 3<<wireTypeBits | wireVarint
	tagDouble         = 4<<wireTypeBits | wireI64
	tagArray          = 5<<wireTypeBits | wireLen
	tagKeyValueList   = 6<<wireTypeBits | wireLen
	tagBytes          = 7<<wireTypeBits | wireLen
	lastAnyValueField = 8

	// ArrayValue and KeyValueList.
	tagListValues = 1<<wireTypeBits | wireLen
	lastListField = 1
)

// skips reports whether a field is one to skip: its number is over the last that
// is known. Those that are known and still come here, because of another wire type
// or because the decoder has no case for them, are for upstream to judge.
func skips(tag, last uint64) bool {
	return tag>>wireTypeBits > last
}
