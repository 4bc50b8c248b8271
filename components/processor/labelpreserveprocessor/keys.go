package labelpreserveprocessor

// labelKey says which label an attribute key stands for.
type labelKey struct {
	label int
	// rank is the preference among the keys of the label: 0 is the name, 1 the first
	// alias, and so on; it is also the bit of the key in finding.keys.
	rank int
	// output is the bit of the key in quick.outputs, -1 when the label does not leave a
	// record under it.
	output int
}

// keyTable finds the label of a key. It is asked once for each attribute of each record,
// most of which are no labels; a Go map spends more time on hashing such a key than this
// table on turning it down.
type keyTable struct {
	slots   []keySlot // of a power of two; at least half of them are free
	lengths [4]uint64 // one bit for each length below 256 that a key has
	long    bool      // a key is longer than that
}

type keySlot struct {
	key   string // "" is a free slot
	label labelKey
}

func newKeyTable(keys map[string]labelKey) keyTable {
	size := 16
	for size < 4*len(keys) {
		size *= 2
	}
	t := keyTable{slots: make([]keySlot, size)}
	for key, label := range keys {
		if len(key) < 256 {
			t.lengths[len(key)/64] |= 1 << (len(key) % 64)
		} else {
			t.long = true
		}
		i := t.home(key)
		for t.slots[i].key != "" {
			i = (i + 1) & uint(len(t.slots)-1)
		}
		t.slots[i] = keySlot{key, label}
	}
	return t
}

// home returns the slot from which on a key that is not empty is looked for.
func (t *keyTable) home(key string) uint {
	n := uint(len(key))
	h := n*7 + uint(key[0])*31 + uint(key[n/2])*13 + uint(key[n-1])
	return h & uint(len(t.slots)-1)
}

// mayHave reports whether a key has a length that one of the table has. It is small
// enough to be inlined where get is not.
func (t *keyTable) mayHave(key string) bool {
	n := uint(len(key))
	return (n < 256 && t.lengths[n/64]&(1<<(n%64)) != 0) || (n >= 256 && t.long)
}

func (t *keyTable) get(key string) (labelKey, bool) {
	if !t.mayHave(key) {
		return labelKey{}, false
	}
	// An empty key has no length of the table, so key[0] is there.
	for i := t.home(key); t.slots[i].key != ""; i = (i + 1) & uint(len(t.slots)-1) {
		if t.slots[i].key == key {
			return t.slots[i].label, true
		}
	}
	return labelKey{}, false
}
