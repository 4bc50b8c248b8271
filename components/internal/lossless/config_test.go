package lossless

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaultConfigIsValid(t *testing.T) {
	config := DefaultConfig()
	require.NoError(t, config.Validate())
	assert.Equal(t, Warn, config.Mode)
	assert.Equal(t, Warn, config.Runtime.Mode)
}

func TestValidateNamesTheSetting(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"`mode` must be warn or enforce, not \"off\"":                     func(c *Config) { c.Mode = Off },
		"`mode` must be warn or enforce, not \"\"":                        func(c *Config) { c.Mode = "" },
		"`ignore::BW999` is not the code of a finding":                    func(c *Config) { c.Ignore = map[string]string{"BW999": "why"} },
		"`ignore::BW001` must say why":                                    func(c *Config) { c.Ignore = map[string]string{"BW001": " "} },
		"`runtime::mode` (LOSSLESS_MODE in the shipped profiles) must be": func(c *Config) { c.Runtime.Mode = "strict" },
		"`runtime::backlog` must not be negative":                         func(c *Config) { c.Runtime.Backlog = -time.Second },
		"`runtime::interval` must be positive":                            func(c *Config) { c.Runtime.Interval = 0 },
		"`runtime::timeout` must be positive":                             func(c *Config) { c.Runtime.Timeout = 0 },
	} {
		config := DefaultConfig()
		change(&config)
		assert.ErrorContains(t, config.Validate(), want)
	}
}

func TestJudge(t *testing.T) {
	own := Finding{Rule: noFsync, Setting: "extensions::file_storage::fsync", Value: "false"}
	around := Finding{Rule: topicReplicas, Setting: "topic logs: replication factor", Value: "1"}
	both := []Finding{own, around}

	config := DefaultConfig()
	assert.Equal(t, Findings{Warned: both}, config.Judge(both))
	require.NoError(t, config.Judge(both).Err())

	config.Mode = Enforce
	assert.Equal(t, Findings{Enforced: []Finding{own}, Warned: []Finding{around}}, config.Judge(both), "each class has its mode")
	config.Runtime.Mode = Enforce
	assert.EqualError(t, config.Judge(both).Err(), "the `lossless` extension found 2 ways of losing data:\n  "+own.String()+"\n  "+around.String())
	config.Runtime.Mode = Off
	assert.Equal(t, Findings{Enforced: []Finding{own}}, config.Judge(both))
	config.Ignore = map[string]string{"BW070": "the machine has a battery"}
	assert.Equal(t, Findings{Ignored: []Finding{own}}, config.Judge(both))
}
