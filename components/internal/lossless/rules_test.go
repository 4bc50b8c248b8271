package lossless

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRulesSayWhatIsLostAndWhatToSet(t *testing.T) {
	code := regexp.MustCompile(`^BW\d{3}$`)
	seen := map[string]bool{}
	for _, r := range Rules() {
		assert.Regexp(t, code, r.Code)
		assert.False(t, seen[r.Code], "%s is there twice", r.Code)
		seen[r.Code] = true
		assert.Equal(t, r.Code >= "BW100", r.Class == Surroundings, "%s: codes of the surroundings begin at BW100", r.Code)
		for _, text := range []string{r.Setting, r.Mistake, r.Loss, r.Fix} {
			assert.NotEmpty(t, text, r.Code)
			assert.NotContains(t, text, "|", "%s is a row of a table", r.Code)
			assert.False(t, strings.HasSuffix(text, "."), "%s: %s", r.Code, text)
		}
	}
}

func TestFindingIsOneLine(t *testing.T) {
	f := Finding{Rule: exporterGivesUp, Setting: "exporters::kafka::retry_on_failure::max_elapsed_time", Value: "5m0s"}
	assert.Equal(t, "BW051 `exporters::kafka::retry_on_failure::max_elapsed_time` (5m0s): retries end. "+
		"Loss: a batch that is refused for longer is deleted, from the disk queue, too. Fix: set it to 0s.", f.String())
}

func TestSortedDropsWhatWasFoundTwice(t *testing.T) {
	a, b := Finding{noFsync, "a", ""}, Finding{noFsync, "b", ""}
	c := Finding{positionsNotStored, "c", ""}
	assert.Equal(t, []Finding{c, a, b}, sorted([]Finding{b, a, c, a}))
}
