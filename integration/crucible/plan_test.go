package crucible

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible/report"
)

func TestPlansAreRepeatable(t *testing.T) {
	t.Parallel()
	for _, c := range append(Cases(), Soak(time.Minute)) {
		assert.Equal(t, c.Plan(7), c.Plan(7), c.Name)
		if len(c.Plan(7).Events) > 0 {
			others := []Plan{c.Plan(8), c.Plan(9), c.Plan(10), c.Plan(11)}
			assert.True(t, slices.ContainsFunc(others, func(p Plan) bool { return !assert.ObjectsAreEqual(p, c.Plan(7)) }), c.Name)
		}
	}
}

func TestPlansAreOfPartsThatAreThere(t *testing.T) {
	t.Parallel()
	parts := []string{"", Agent1, Agent2, Consumer1, Consumer2, Consumer3, Brokers, VictoriaMetrics, brokerName(1), brokerName(2), brokerName(3)}
	for _, c := range append(Cases(), Soak(time.Hour)) {
		logs := VictoriaLogs
		if c.Loki {
			logs = Loki
		}
		parts := parts
		if c.Both {
			parts = append(slices.Clone(parts), Loki)
		}
		for seed := range uint64(20) {
			plan := c.Plan(seed)
			for _, e := range plan.Events {
				assert.Contains(t, append(parts, logs), e.Target, c.Name)
				assert.Contains(t, append(parts, logs), e.Peer, c.Name)
				assert.GreaterOrEqual(t, e.At, time.Second, c.Name)
				assert.LessOrEqual(t, e.At+e.For+afterFault, plan.Length, c.Name)
			}
		}
	}
}

// TestEveryFaultIsInACase holds that no kind of fault can be taken out of the suite by accident.
func TestEveryFaultIsInACase(t *testing.T) {
	t.Parallel()
	var kinds []Kind
	for _, c := range Cases() {
		for _, e := range c.Plan(1).Events {
			kinds = append(kinds, e.Kind)
		}
	}
	for _, kind := range []Kind{
		Kill, Terminate, Freeze, Cut, OneWay, Loss, Delay, Reset, DiskFull, PowerLoss, RevokeCredentials, RemoveACL,
		DeleteTopic, AddPartition, Rebalance, Burst, Poison, Rolling, Replay, Swap,
	} {
		assert.Contains(t, kinds, kind)
	}
}

func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	names := caseNames()
	slices.Sort(names)
	assert.Len(t, slices.Compact(slices.Clone(names)), len(names))
	short := slices.DeleteFunc(Cases(), func(c Case) bool { return !c.Short })
	assert.NotEmpty(t, short)
	assert.Less(t, len(short), 7, "the short subset is part of the tests")
}

func caseNames() []string {
	var names []string
	for _, c := range Cases() {
		names = append(names, c.Name)
	}
	return names
}

func TestKnownLossesAreOfCasesAndProfiles(t *testing.T) {
	t.Parallel()
	require.NoError(t, report.CheckKnown(KnownLosses(), caseNames()))
	for _, k := range KnownLosses() {
		_, err := FindProfile(k.Profile)
		assert.NoError(t, err)
	}
}

func TestSoakBreaksThePartsOfAGroupOneAtATime(t *testing.T) {
	t.Parallel()
	plan := Soak(time.Hour).Plan(3)
	assert.Greater(t, len(plan.Events), 500)
	assert.Equal(t, time.Hour, plan.Length)
	for _, group := range soakTargets {
		var free time.Duration
		for _, e := range plan.Events {
			if slices.Contains(group, e.Target) {
				assert.Greater(t, e.At, free, "%s", e)
				free = e.At + e.For
			}
		}
		assert.NotZero(t, free, "%v", group)
	}
}

func TestFaultsOfAProcess(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]Fault{
		Agent1:  {Kind: PowerLoss, Target: Agent1},
		Brokers: {Kind: Freeze, Target: brokerName(2)},
		Loki:    {Kind: Kill, Target: Loki},
		"":      {Kind: DiskFull, Target: Agent1},
	} {
		assert.Equal(t, want, fault.process())
	}
}

func TestLongestFirstWithEverySeed(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(Cases(), func(c Case) bool { return !slices.Contains([]string{"calm", "broker-freeze", "rebalances"}, c.Name) })
	var found []string
	for _, j := range longestFirst(cases, 4, 2) {
		found = append(found, fmt.Sprint(j.Name, " ", j.seed))
	}
	assert.ElementsMatch(t, []string{"calm 4", "calm 5", "broker-freeze 4", "broker-freeze 5", "rebalances 4", "rebalances 5"}, found)
	assert.Contains(t, found[0], "rebalances")
	assert.Contains(t, found[5], "calm")
}

func TestPlanAsText(t *testing.T) {
	t.Parallel()
	plan := Plan{Length: 20 * time.Second, Events: []Event{
		{Fault: Fault{Kind: Kill, Target: Agent1}, At: 5 * time.Second, For: 1500 * time.Millisecond},
		{Fault: Fault{Kind: OneWay, Target: Brokers, Peer: Agent2}, At: 11 * time.Second, For: time.Second},
		{Fault: Fault{Kind: Poison}, At: 12 * time.Second},
	}}
	assert.Equal(t, strings.Join([]string{
		" 5.0 s SIGKILL agent-1 for 1.5 s",
		"11.0 s one way brokers → agent-2 for 1.0 s",
		"12.0 s poison",
		"20.0 s the writers stop",
	}, "\n"), plan.String())
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	_, err := FindProfile("nobody")
	require.ErrorContains(t, err, `there is no profile "nobody"; there are breakwater, upstream`)
	p, err := FindProfile("upstream")
	require.NoError(t, err)
	assert.Equal(t, p, p.WithCommands("", ""))
	with := p.WithCommands("", "sink --to x")
	assert.Equal(t, "command", with.Name)
	assert.Equal(t, p.Agent, with.Agent)
	assert.Equal(t, Program{Command: "sink --to x"}, with.Consumer)
	for _, c := range Cases() {
		assert.True(t, Profiles()[0].runs(c), c.Name)
		assert.Equal(t, !c.Loki && !c.Swapped && !c.Both && !c.Secure && !c.Load.FluentBit, with.runs(c), c.Name)
	}
}

func TestOffsetsMissing(t *testing.T) {
	t.Parallel()
	ends, done := offsets{}, offsets{}
	ends.set("a", 0, 10)
	ends.set("a", 1, 5)
	ends.set("b", 0, 3)
	assert.EqualValues(t, 18, ends.missing(done))
	done.set("a", 0, 4)
	done.set("a", 0, 2) // another group is behind
	done.set("a", 1, 9)
	assert.EqualValues(t, 9, ends.missing(done))
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	assert.Zero(t, recovery(nil, nil))
	series := []report.Point{{Seconds: 0, Backlog: 5}, {Seconds: 3, Backlog: 50}, {Seconds: 8, Backlog: 5}, {Seconds: 9}}
	faults := []report.Window{{From: 2, To: 3}, {From: 1, To: 4}}
	assert.Equal(t, 4*time.Second, recovery(series, faults))
	assert.Negative(t, recovery(series[:2], faults))
}
