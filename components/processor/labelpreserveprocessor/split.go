package labelpreserveprocessor

// splitter moves the records of a resource to the resources of their groups. It meets
// the records in the order in which the pass assigned their groups.
type splitter struct {
	groupOf []int
}

// moveOut moves the records of all groups but group 0 to the slices that to returns, and
// reports whether that left the slice empty. A slice that was empty before stays.
func moveOut[S recordSlice[R], R record[R]](s *splitter, records S, to func(group int) S) bool {
	moved := false
	records.RemoveIf(func(r R) bool {
		group := s.groupOf[0]
		s.groupOf = s.groupOf[1:]
		if group == 0 {
			return false
		}
		r.MoveTo(to(group).AppendEmpty())
		moved = true
		return true
	})
	return moved && records.Len() == 0
}

// onePerGroup returns a function that calls create for each group when it is first asked for.
func onePerGroup[T any](create func(group int) T) func(group int) T {
	created := make(map[int]T)
	return func(group int) T {
		t, ok := created[group]
		if !ok {
			t = create(group)
			created[group] = t
		}
		return t
	}
}
