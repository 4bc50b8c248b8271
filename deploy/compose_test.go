package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loadCompose reads the file as Compose does: against its schema, with references between services and volumes checked.
func loadCompose(t *testing.T) *types.Project {
	options, err := cli.NewProjectOptions([]string{"compose/compose.yaml"}, cli.WithConsistency(true), cli.WithName("breakwater"))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func TestCompose(t *testing.T) {
	project := loadCompose(t)
	assert.ElementsMatch(t, []string{
		"kafka-1", "kafka-2", "kafka-3", "topics", "victorialogs", "victoriametrics", "vmalert", "grafana", "agent", "consumer",
	}, project.ServiceNames())

	brokers := map[string]bool{}
	for _, name := range []string{"kafka-1", "kafka-2", "kafka-3"} {
		env := project.Services[name].Environment
		brokers[*env["KAFKA_NODE_ID"]] = true
		assert.Equal(t, "PLAINTEXT://"+name+":9092", *env["KAFKA_ADVERTISED_LISTENERS"])
		assert.Equal(t, "false", *env["KAFKA_AUTO_CREATE_TOPICS_ENABLE"])
	}
	assert.Len(t, brokers, 3, "node ids")

	for _, name := range []string{"agent", "consumer", "topics"} {
		service := project.Services[name]
		assert.Equal(t, "kafka-1:9092,kafka-2:9092,kafka-3:9092", *service.Environment["KAFKA_BROKERS"], name)
		assert.True(t, service.ReadOnly, name)
		assert.Equal(t, []string{"ALL"}, service.CapDrop, name)
		assert.Contains(t, service.SecurityOpt, "no-new-privileges:true", name)
		if name != "topics" {
			assert.Equal(t, types.ServiceConditionCompletedSuccessfully, service.DependsOn["topics"].Condition, name)
		}
	}
	assert.Equal(t, []string{"DAC_READ_SEARCH"}, project.Services["agent"].CapAdd)

	for name, service := range project.Services {
		for _, port := range service.Ports {
			assert.Equal(t, "127.0.0.1", port.HostIP, "%s publishes %s", name, port.Published)
		}
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				_, err := os.Stat(volume.Source)
				assert.NoError(t, err, "%s mounts it", name)
			}
		}
		assert.NotContains(t, service.Image, ":latest", name)
	}
}

// TestComposeVersions holds that what runs there is what the tests run.
func TestComposeVersions(t *testing.T) {
	project := loadCompose(t)
	pom, err := os.ReadFile(filepath.Join("..", "integration", "kafka", "pom.xml"))
	require.NoError(t, err)
	kafka := regexp.MustCompile(`<kafka.version>(.*)</kafka.version>`).FindSubmatch(pom)
	require.NotNil(t, kafka)
	assert.Equal(t, "apache/kafka:"+string(kafka[1]), project.Services["kafka-1"].Image)
	mod, err := os.ReadFile(filepath.Join("..", "integration", "backends", "go.mod"))
	require.NoError(t, err)
	victoria := regexp.MustCompile(`VictoriaMetrics/VictoriaMetrics (v\S+)`).FindSubmatch(mod)
	require.NotNil(t, victoria)
	assert.Equal(t, "victoriametrics/victoria-metrics:"+string(victoria[1]), project.Services["victoriametrics"].Image)
	assert.Equal(t, "victoriametrics/vmalert:"+string(victoria[1]), project.Services["vmalert"].Image)
}

// TestComposeRetention holds that the consumer knows what the backends keep: what is older is treated otherwise.
func TestComposeRetention(t *testing.T) {
	project := loadCompose(t)
	consumer := project.Services["consumer"].Environment
	for backend, variable := range map[string]string{"victorialogs": "VICTORIALOGS_RETENTION", "victoriametrics": "VICTORIAMETRICS_RETENTION"} {
		assert.Contains(t, strings.Join(project.Services[backend].Command, " "), "-retentionPeriod="+*consumer[variable])
	}
	assert.Contains(t, project.Services["victoriametrics"].Command, "-dedup.minScrapeInterval=1ms")
}
